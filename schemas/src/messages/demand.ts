import { z } from 'zod';
import { clusterId } from '../names.ts';

/**
 * What one scheduler holds that only some clusters could take; `llm.demand.<scheduler>`, each second while there is any, and
 * once more, empty, when there is none any more. Published plainly and kept by nobody: it counts for `demandTtlMs`.
 */
export const demand = z.strictObject({
  v: z.literal(1),
  /** The token of the subject: who says it. */
  scheduler: z.string(),
  bound: z.array(
    z.strictObject({
      /** In the order of their names. */
      clusters: z.array(clusterId).min(1),
      /** Requests that wait and have no job at one of these clusters. */
      jobs: z.int().min(0),
    }),
  ),
});
export type Demand = z.infer<typeof demand>;

/** Two messages may be lost before the demand of a scheduler is forgotten; of one that died, others hold the requests. */
export const demandTtlMs = 3_500;
