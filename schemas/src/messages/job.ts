import { z } from 'zod';
import { clusterId } from '../names.ts';
import { tokenPrices } from './portion.ts';
import { request } from './request.ts';

/** One attempt at a request, assigned to one cluster; on `llm.job.<cluster>.<request>`. */
export const job = z.strictObject({
  v: z.literal(1),
  request,
  cluster: clusterId,
  /** 1 for the first assignment; each later one counts up, so a superseded job is recognised. */
  attempt: z.int().min(1),
  /** How long the scheduler held the request, by its own clock, in ms. */
  queueMs: z.number().min(0),
  /** Of the cluster when it was chosen. */
  ...tokenPrices,
  /** The model hash that the cluster reported when it was chosen: a continuation needs the same. */
  modelHash: z.string().optional(),
});
export type Job = z.infer<typeof job>;
