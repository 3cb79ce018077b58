import { z } from 'zod';
import { clusterId } from '../names.ts';
import { report } from './report.ts';

/**
 * What was last measured of the nodes of a cluster; KV bucket LLM_PROFILES, key `<cluster>`. It is all that is known while
 * the cluster has no node: whether waking it is worth its price, and how long that takes.
 */
export const profile = z.strictObject({
  v: z.literal(1),
  cluster: clusterId,
  slotsPerNode: z.int().min(1),
  model: report.shape.model.unwrap(),
  rates: report.shape.rates.unwrap(),
  /** How long each of the last starts took, in ms, the latest last. */
  bootsMs: z.array(z.number().min(0)),
  measuredAtMs: z.number(),
});
export type Profile = z.infer<typeof profile>;

/** Starts that are remembered. */
export const bootsKept = 10;
