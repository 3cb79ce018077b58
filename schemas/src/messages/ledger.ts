import { z } from 'zod';
import { failureCodes } from '../failures.ts';
import { priority, requestId, tenantId } from '../names.ts';
import { portion } from './portion.ts';

/**
 * What one request cost; `llm.ledger.<tenant>.<request>`, at most one per request: it is published only where nothing is.
 * Nominal prices of the moment of each assignment, so a record never changes with what nodes cost later.
 */
export const ledgerRecord = z.strictObject({
  v: z.literal(1),
  request: requestId,
  tenant: tenantId,
  /** Id of the API key that asked; absent for requests that came over NATS or with a signature. */
  key: z.string().optional(),
  /** The catalogue's name. */
  model: z.string().optional(),
  priority: priority.optional(),
  /** When the outcome was stored, by the hub's clock: one clock for all, whoever ended the request. */
  endedAtMs: z.number(),
  status: z.enum(['done', 'failed', 'cancelled']),
  code: z.enum(failureCodes).optional(),
  /** Who said which tokens, and what they cost; none when nothing was said. `usd` is absent where a price is unknown. */
  portions: z.array(portion.extend({ usd: z.number().min(0).optional() })),
  /** Sum of the portions; absent when the price or the count of any of them is unknown. */
  usd: z.number().min(0).optional(),
  unpriced: z.literal(true).optional(),
  /** More may have been used than the portions say; what they say is what is charged. */
  uncounted: z.literal(true).optional(),
  promptTokens: z.int().min(0),
  completionTokens: z.int().min(0),
  /** The part of the prompt whose cache was reused; it is charged like the rest. */
  cachedTokens: z.int().min(0).optional(),
});
export type LedgerRecord = z.infer<typeof ledgerRecord>;
