import { z } from 'zod';
import { clusterId, tenantId } from '../names.ts';

/** `wait` for a better moment until the deadline, take the `least-bad` cluster, or `reject` early when waiting is no use. */
const unfeasibleCourse = z.enum(['wait', 'least-bad', 'reject']);

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
  /**
   * The dollars that strategy `cost` compares. `marginal`: what this request adds to the bill, the idle time that it
   * prolongs included; `share`: its share of the node while it runs; `nominal`: the price at full capacity.
   */
  costBasis: z.enum(['marginal', 'share', 'nominal']).default('marginal'),
  /** Costs within this fraction of the best are equal, and the busier cluster wins; 0: only equal ones. */
  nearTie: z.number().min(0).max(1).default(0.05),
  /** A price past its time of validity counts as dearer by this fraction. */
  stalePriceMarkup: z.number().min(0).default(0.1),
  /** Predictions are scaled by how wrong the last ones of the cluster were. */
  residuals: z.boolean().default(true),
  /** Of those that can make the deadline, prefer the ones that make it with a long answer (90th percentile). */
  longAnswers: z.boolean().default(true),
  /** The share of requests that goes to another cluster than the best, so that estimates stay honest; only `cost`. */
  exploration: z.number().min(0).max(1).default(0.01),
  /** Prompts that begin like earlier ones are cheaper where those were answered. */
  affinity: z
    .strictObject({
      enabled: z.boolean().default(true),
      /** A prefix is believed to be cached for this long, in ms. */
      ttlMs: z.number().positive().default(300_000),
      /** A cluster fuller than this times the fleet's mean gets no credit for its cache. */
      loadMax: z.number().min(1).default(1.25),
    })
    .prefault({}),
  /** What happens, by priority, when a slot is free but no cluster can make the deadline or the first token in time. */
  unfeasible: z
    .strictObject({
      interactive: unfeasibleCourse.default('least-bad'),
      standard: unfeasibleCourse.default('wait'),
      batch: unfeasibleCourse.default('reject'),
    })
    .prefault({}),
  /** Within a band, the tenant that has had the fewest tokens for its weight is served first. */
  fairness: z
    .strictObject({
      enabled: z.boolean().default(true),
      /** Tenants that are not named have weight 1. */
      weights: z.record(tenantId, z.number().positive()).default({}),
    })
    .prefault({}),
  /**
   * Providers, which are paid by the token: `allowed` beside the own clusters, `fallback` for what no own cluster can take
   * now, or `off`.
   */
  providers: z.enum(['allowed', 'fallback', 'off']).default('allowed'),
  /** Free slots kept for interactive requests; the other bands may take them only after they have waited. */
  reserve: z
    .strictObject({
      /** Of all slots, rounded down; 0: none. */
      share: z.number().min(0).max(1).default(0),
      standardWaitMs: z.number().min(0).default(10_000),
      batchWaitMs: z.number().min(0).default(60_000),
    })
    .prefault({}),
  /** When clusters are woken and let go; absent: none is, and their idle time costs nothing extra. */
  scaling: z
    .strictObject({
      /** How full slots are meant to be on average. */
      utilisation: z.number().positive().max(1).default(0.8),
      /** Demand is averaged over about this time, in ms … */
      averageMs: z.number().positive().default(90_000),
      /** … and what it was is forgotten with this time constant, in ms. */
      decayMs: z.number().min(0).default(600_000),
      /** The share of the jobs without a slot that is answered with slots at once, whatever the average says. */
      backlogShare: z.number().min(0).max(1).default(1),
      /** A node is surplus when the others have this much more than is needed. */
      surplusMargin: z.number().min(0).default(0.2),
      /** A node of the cheapest cluster is let go when it was not needed for this long, in ms … */
      coolDownCheapestMs: z.number().min(0).default(300_000),
      /** … and one of the dearest after this long; those in between are in between. */
      coolDownDearestMs: z.number().min(0).default(60_000),
      /** A node is replaced by one of another cluster that is cheaper by this fraction; 1: never. */
      swapMargin: z.number().min(0).max(1).default(0.2),
      /** After a wake that came to nothing the cluster is not tried again for this long, in ms. */
      failedWakeMs: z.number().min(0).default(600_000),
      /** The most nodes that a cluster may have; clusters that are not named may have one. */
      nodesMax: z.record(clusterId, z.int().min(0)).default({}),
    })
    .exactOptional(),
  /** Decision events carry everything that the decision rested on, so that it can be repeated. */
  snapshots: z.boolean().default(true),
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
  /** Clusters with nodes of our own by cost; then providers by cost. */
  z.strictObject({ ...rules, strategy: z.literal('own-first') }),
  /** Providers by cost; then clusters with nodes of our own by cost. */
  z.strictObject({ ...rules, strategy: z.literal('provider-first') }),
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
