import { z } from 'zod';
import { clusterId } from '../names.ts';

/** How the scheduler chooses; KV bucket LLM_POLICY, key `active`. Unknown keys are refused. */
const rules = {
  v: z.literal(1),
  /** Assignments beyond free slots that may wait at a cluster. 0 keeps every waiting request central. */
  bufferSlots: z.int().min(0).default(0),
  /** Predicted time to first token above which a cluster is refused, in ms; absent: no limit. */
  ttftMaxMs: z.number().positive().optional(),
  /** Requests of this scheduler already waiting at the cluster above which it is refused; absent: no limit. */
  queueDepthMax: z.int().min(0).optional(),
  /** A report older than this is no evidence of free slots; in ms. */
  reportStaleMs: z.number().positive().default(3_000),
  /** The incumbent of a model keeps the traffic unless another is better by this fraction of the score … */
  switchMargin: z.number().min(0).max(1).default(0.15),
  /** … and has been the incumbent for at least this long, in ms. */
  dwellMs: z.number().min(0).default(2_000),
  breaker: z
    .strictObject({
      consecutiveFailures: z.int().min(1).default(5),
      failureFraction: z.number().min(0).max(1).default(0.5),
      minRequests: z.int().min(1).default(20),
      windowMs: z.number().positive().default(30_000),
      openMs: z.number().positive().default(30_000),
      openMaxMs: z.number().positive().default(300_000),
      successesToClose: z.int().min(1).default(2),
    })
    .prefault({}),
};

export const policy = z.discriminatedUnion('strategy', [
  /** The cheapest predicted cost of this request. */
  z.strictObject({ ...rules, strategy: z.literal('cost') }),
  /** The earliest predicted completion. */
  z.strictObject({ ...rules, strategy: z.literal('latency') }),
  /** The first of these clusters that can take it; then the others by cost. */
  z.strictObject({ ...rules, strategy: z.literal('cluster-first'), order: z.array(clusterId).min(1) }),
  /** A weighted draw per request, for A/B tests; clusters without a weight take no part. */
  z.strictObject({
    ...rules,
    strategy: z.literal('weighted'),
    weights: z
      .record(clusterId, z.number().min(0))
      .refine((w) => Object.values(w).some((x) => x > 0), 'no weight above 0'),
  }),
]);
export type Policy = z.infer<typeof policy>;
export type PolicyInput = z.input<typeof policy>;
