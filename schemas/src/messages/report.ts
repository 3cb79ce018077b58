import { z } from 'zod';
import { agentId, clusterId, endpoint, requestId } from '../names.ts';

const tps = z.number().positive();

/** Why a provider gets no further request now. */
export const providerLimits = [
  'requests-per-minute',
  'tokens-per-minute',
  'told-to-wait',
  'budget-spent',
  'budget-unknown',
] as const;

export const provider = z.strictObject({
  /** Usual time to its first token, in ms: the median of the last answers, however old. */
  ttftMs: z.number().min(0).optional(),
  limit: z.strictObject({ reason: z.enum(providerLimits), resumesInMs: z.number().min(0) }).optional(),
});
export type Provider = z.infer<typeof provider>;
export type ProviderLimit = NonNullable<Provider['limit']>;

/**
 * What an agent measured; `llm.report.<cluster>.<agent>`, every second and on each change of a slot. A figure that has
 * not been measured is absent, never a default.
 */
export const report = z.strictObject({
  v: z.literal(1),
  cluster: clusterId,
  agent: agentId,
  /** Counts up within one life of the agent; a lower number than the last one seen is a late message. */
  seq: z.int().min(0),
  /** Wall clock of the agent when it started: tells one life from the next. */
  startedAtMs: z.number(),
  sentAtMs: z.number(),
  /** `booting`, `draining` and `down` take no work. Only `down` is a fault. */
  phase: z.enum(['booting', 'ready', 'draining', 'down']),
  /** Why, when `down`. */
  reason: z.string().optional(),
  /** The model behind this agent; absent until the backend has told. */
  model: z
    .strictObject({
      name: z.string(),
      /** Same hash, same tokens: a continuation may only move between equal hashes. */
      hash: z.string(),
      contextTokens: z.int().positive(),
      endpoints: z.array(endpoint),
    })
    .optional(),
  slots: z.int().min(0),
  /** The jobs that hold a slot now. */
  inFlight: z.array(z.strictObject({ id: requestId, attempt: z.int().min(1), outputTokens: z.int().min(0) })),
  /** Requests that llama.cpp itself holds back (`llamacpp:requests_deferred`): somebody else uses this backend. */
  deferred: z.int().min(0).optional(),
  rates: z
    .strictObject({
      /** Uncached prompt tokens per second of prompt time. */
      prefillTps: tps.optional(),
      /** Tokens per second of the whole backend with `b` slots decoding; `n` is how many tokens that rests on. */
      decode: z.array(z.strictObject({ b: z.int().min(1), tps, n: z.int().min(1) })),
    })
    .optional(),
  /** Recent times to first token inside the agent (job received to first token), in ms. */
  ttftMs: z.strictObject({ p50: z.number(), p95: z.number(), n: z.int().min(1) }).optional(),
  /** How long this backend took from start to ready, in ms. */
  bootMs: z.number().min(0).optional(),
  /** Present when what answers is another company's service, paid by the token: there is no node. */
  provider: provider.optional(),
});
export type Report = z.infer<typeof report>;
