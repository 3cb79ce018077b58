import { z } from 'zod';
import { clusterId, priority, requestId, tenantId } from '../names.ts';

/** Why a cluster was not chosen. `permanent` reasons will not go away by waiting. */
export const rejectionCodes = [
  'model-not-served',
  'endpoint-not-served',
  'context-too-small',
  'model-hash-differs',
  'excluded',
  'booting',
  'draining',
  'backend-down',
  'report-stale',
  'breaker-open',
  'price-unknown',
  'rates-unknown',
  'price-above-ceiling',
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
  usdPer1k: z.number().optional(),
  predicted: z
    .strictObject({ ttftMs: z.number(), tpotMs: z.number(), totalMs: z.number(), usd: z.number() })
    .optional(),
  /** Lower is better; only of candidates that could take the request. */
  score: z.number().optional(),
  rejection: z.strictObject({ code: z.enum(rejectionCodes), detail: z.string() }).optional(),
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
});
export type DecisionRecord = z.infer<typeof decisionRecord>;
export type RejectionCode = (typeof rejectionCodes)[number];
