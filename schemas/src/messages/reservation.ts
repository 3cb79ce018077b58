import { z } from 'zod';
import { requestId } from '../names.ts';

/**
 * What an API key may still be charged for requests that are not settled; bucket LLM_BUDGETS, key `<API key id>`. Written by
 * every ingress, with compare-and-set on the revision.
 */
export const reservations = z.strictObject({
  v: z.literal(1),
  /**
   * Whoever dropped settled reservations had read the ledger up to here. Who has read less would count those requests
   * neither here nor there, and has to read on first.
   */
  ledgerSeq: z.int().min(0),
  /** By request; `usd` is an upper bound of its cost. */
  open: z.record(
    requestId,
    z.strictObject({
      usd: z.number().min(0),
      /** From then on a request that never was accepted, or never ran, holds nothing any more; wall clock, ms. */
      expiresAtMs: z.number(),
    }),
  ),
});
export type Reservations = z.infer<typeof reservations>;
