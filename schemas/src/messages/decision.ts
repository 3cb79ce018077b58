import { z } from 'zod';
import { clusterId, endpoint, priority, requestId, tenantId } from '../names.ts';
import { regions } from '../regions.ts';
import { policy } from './policy.ts';
import { provider, report } from './report.ts';
import { tariff } from './tariff.ts';

/** Why a cluster was not chosen. `permanent` reasons will not go away by waiting. */
export const rejectionCodes = [
  'model-not-served',
  'endpoint-not-served',
  'context-too-small',
  'model-hash-differs',
  'excluded',
  'cordoned',
  'booting',
  'draining',
  'backend-down',
  'report-stale',
  'breaker-open',
  'price-unknown',
  'rates-unknown',
  'price-above-ceiling',
  'region-not-allowed',
  'provider-not-allowed',
  'provider-limited',
  'no-free-slot',
  'queue-too-deep',
  'ttft-too-long',
  'deadline-too-close',
  'no-weight',
] as const;

const candidate = z.strictObject({
  cluster: clusterId,
  slots: z.int(),
  /** Jobs the cluster holds, by its reports corrected by the scheduler's own ledger. */
  load: z.int(),
  reportAgeMs: z.number().optional(),
  usdPerHour: z.number().optional(),
  /** Of a provider, in place of a node's price. */
  usdPerMillion: tariff.shape.usdPerMillion.unwrap().optional(),
  /** Present when the price is past its time of validity: it then counts as dearer. */
  priceStale: z.literal(true).optional(),
  /** Three costs that are never mixed. */
  costs: z
    .strictObject({
      /** USD per 1,000 output tokens with all slots busy; for display and for the caller's ceiling. */
      nominalUsdPer1k: z.number().optional(),
      /** USD that this request is expected to add to the bill; what the choice compares. */
      marginalUsd: z.number().optional(),
      /** USD per 1,000 output tokens that the cluster has really cost lately, idle and boot time included. */
      realisedUsdPer1k: z.number().optional(),
    })
    .optional(),
  predicted: z.strictObject({ ttftMs: z.number(), tpotMs: z.number(), totalMs: z.number() }).optional(),
  /** Prompt tokens believed to be in the cluster's cache. */
  cachedTokens: z.number().optional(),
  /** Lower is better; only of candidates that could take the request. */
  score: z.number().optional(),
  rejection: z.strictObject({ code: z.enum(rejectionCodes), detail: z.string() }).optional(),
});

/** All that a decision rests on; `decide()` gives the same answer from it again, number by number. No prompt text. */
export const decisionInputs = z.strictObject({
  policy,
  /** Drawn for this decision, in [0, 1). */
  random: z.number(),
  incumbent: z.strictObject({ cluster: clusterId, sinceMs: z.number() }).exactOptional(),
  ask: z.strictObject({
    request: z.strictObject({
      endpoint,
      priority,
      deadlineAtMs: z.number(),
      maxUsdPer1k: z.number().positive().optional(),
      regions: regions.optional(),
    }),
    model: z.string(),
    estimate: z.strictObject({
      promptTokens: z.number(),
      outputTokens: z.number(),
      outputTokensHigh: z.number(),
      outputBasis: z.enum(['learned', 'assumed']),
      promptBasis: z.enum(['counted', 'learned', 'assumed']).exactOptional(),
    }),
    leave: clusterId.exactOptional(),
    modelHash: z.string().exactOptional(),
  }),
  candidates: z.array(
    z.strictObject({
      view: z.strictObject({
        cluster: clusterId,
        phase: z.enum([...report.shape.phase.options, 'silent']),
        reportAgeMs: z.number().exactOptional(),
        slots: z.int(),
        nodes: z.int(),
        model: report.shape.model.unwrap().exactOptional(),
        rates: report.shape.rates.unwrap().exactOptional(),
        bootMs: z.number().exactOptional(),
        provider: provider.exactOptional(),
      }),
      load: z.int(),
      tariff: tariff.exactOptional(),
      breaker: z.strictObject({ allowed: z.boolean(), detail: z.string(), opens: z.int() }),
      cordon: z.string().exactOptional(),
      idleMs: z.number().exactOptional(),
      residual: z.number().exactOptional(),
      cachedTokens: z.number().exactOptional(),
      realisedUsdPer1k: z.number().exactOptional(),
    }),
  ),
});
export type DecisionInputs = z.infer<typeof decisionInputs>;

/** Which policy of an experiment decided, and in which of its windows. */
const turn = z.strictObject({
  experiment: z.string(),
  policy: z.string(),
  /** Windows count from 0 at the start of the experiment. */
  window: z.int().min(0),
  windowStartsAtMs: z.number(),
  /** Present early in a window, when the previous policy still has an effect: not to be counted. */
  burnIn: z.literal(true).exactOptional(),
});

/** Under which of the names on offer the request came, and which model that gave it. */
const arm = z.strictObject({
  variant: z.string(),
  model: z.string(),
  /** A hash of who it was decided for: requests with the same one are no independent observations. */
  unit: z.string(),
});

/** What a policy that decides nothing would have done on the same state, by its own figures. */
const shadow = z.strictObject({
  experiment: z.string(),
  policy: z.string(),
  kind: z.enum(['assign', 'defer', 'reject', 'error']),
  chosen: clusterId.exactOptional(),
  rule: z.string().exactOptional(),
  marginalUsd: z.number().exactOptional(),
  ttftMs: z.number().exactOptional(),
  totalMs: z.number().exactOptional(),
  /** The cluster that it would have had as its incumbent, and since when. */
  incumbent: z.strictObject({ cluster: clusterId, sinceMs: z.number() }).exactOptional(),
  /** What went wrong in it. */
  error: z.string().exactOptional(),
});

/** Why the scheduler did what it did; `llm.decision.<tenant>.<request>`. */
export const decisionRecord = z.strictObject({
  v: z.literal(1),
  request: requestId,
  tenant: tenantId,
  model: z.string(),
  priority,
  attempt: z.int().min(1),
  decidedAtMs: z.number(),
  queueMs: z.number(),
  strategy: z.string(),
  /** Revision of the policy in LLM_POLICY; 0 for the built-in one. */
  policyRevision: z.int(),
  estimate: z.strictObject({ promptTokens: z.int(), outputTokens: z.int() }),
  kind: z.enum(['assign', 'reject']),
  chosen: clusterId.optional(),
  /** The rule that settled it, e.g. `lowest-score`, `incumbent-kept`, `only-candidate`. */
  rule: z.string(),
  candidates: z.array(candidate),
  /** How long a refused request should wait before it is sent again, in ms; absent where nobody knows. */
  retryAfterMs: z.number().optional(),
  /** When the answer is of no use any more. */
  deadlineAtMs: z.number().exactOptional(),
  /** Absent while no policies take turns. */
  turn: turn.exactOptional(),
  /** Absent for models that were asked for by their own name; only on first attempts. */
  arm: arm.exactOptional(),
  shadow: shadow.exactOptional(),
  /** Absent for large fleets, whose records would be too large, and where the policy wants none. */
  inputs: decisionInputs.optional(),
});
export type DecisionRecord = z.infer<typeof decisionRecord>;
export type RejectionCode = (typeof rejectionCodes)[number];
export type Turn = z.infer<typeof turn>;
export type Arm = z.infer<typeof arm>;
export type ShadowNote = z.infer<typeof shadow>;
