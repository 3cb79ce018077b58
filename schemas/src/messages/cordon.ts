import { z } from 'zod';

/**
 * An operator has closed a cluster to new work; KV bucket LLM_POLICY, key `cordon.<cluster>`. What it runs it finishes. The
 * key is deleted when the cluster is opened again; the bucket's history says who did what.
 */
export const cordon = z.strictObject({
  v: z.literal(1),
  /** Why, in the operator's words; shown wherever the cluster is refused. */
  reason: z.string().min(1).max(200),
  /** Who closed it, as the command line knew them. */
  by: z.string().min(1).max(100),
  asOf: z.iso.datetime(),
  /** Its nodes are let go as soon as nothing runs there, whatever the policy says of scaling; absent: they may stay. */
  paused: z.literal(true).exactOptional(),
});
export type Cordon = z.infer<typeof cordon>;
