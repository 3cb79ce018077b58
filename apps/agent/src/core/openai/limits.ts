import type { ProviderLimit } from '@drover/schemas';

/** What a provider allows per minute; absent: it does not say, so only its own refusals hold us back. */
export type Allowance = {
  readonly requestsPerMinute?: number | undefined;
  readonly tokensPerMinute?: number | undefined;
  /** How many minutes' worth may be used at once after a silence. */
  readonly burst: number;
};

type Bucket = { readonly left: number; readonly atMs: number };

/** How much may be asked now. `tokens` may be below 0: a request is let in while anything is left, and pays in full. */
export type Limits = {
  readonly requests: Bucket;
  readonly tokens: Bucket;
  /** The provider has said no more before then, on the same clock; 0: it has not. */
  readonly pausedUntilMs: number;
};

const minuteMs = 60_000;

/** Pure. Everything is free at the start. @param nowMs of a monotonic clock, as in all of these */
export function fullLimits(allowance: Allowance, nowMs: number): Limits {
  return {
    requests: { left: capacity(allowance.requestsPerMinute, allowance.burst), atMs: nowMs },
    tokens: { left: capacity(allowance.tokensPerMinute, allowance.burst), atMs: nowMs },
    pausedUntilMs: 0,
  };
}

/** At least one request fits, whatever the numbers. */
const capacity = (perMinute: number | undefined, burst: number): number =>
  perMinute === undefined ? Number.POSITIVE_INFINITY : Math.max(1, perMinute * burst);

function filled(bucket: Bucket, perMinute: number | undefined, burst: number, nowMs: number): Bucket {
  if (perMinute === undefined) return bucket;
  const more = (Math.max(0, nowMs - bucket.atMs) * perMinute) / minuteMs;
  return { left: Math.min(capacity(perMinute, burst), bucket.left + more), atMs: nowMs };
}

function refilled(limits: Limits, { requestsPerMinute, tokensPerMinute, burst }: Allowance, nowMs: number) {
  return {
    ...limits,
    requests: filled(limits.requests, requestsPerMinute, burst, nowMs),
    tokens: filled(limits.tokens, tokensPerMinute, burst, nowMs),
  };
}

/** Pure. Requests that may start now; `Infinity` when nothing limits them. */
export function startable(limits: Limits, allowance: Allowance, nowMs: number): number {
  const { requests, tokens, pausedUntilMs } = refilled(limits, allowance, nowMs);
  return pausedUntilMs > nowMs || tokens.left <= 0 ? 0 : Math.floor(requests.left + epsilon);
}

/** Adding up thirds must not make a whole request too little. */
const epsilon = 1e-9;

/** Pure. Why nothing may start now, and for how long; undefined when something may. */
export function limitOf(limits: Limits, allowance: Allowance, nowMs: number): ProviderLimit | undefined {
  const { requests, tokens, pausedUntilMs } = refilled(limits, allowance, nowMs);
  if (pausedUntilMs > nowMs) return { reason: 'told-to-wait', resumesInMs: pausedUntilMs - nowMs };
  if (requests.left + epsilon < 1)
    return {
      reason: 'requests-per-minute',
      resumesInMs: timeFor(1 - requests.left, allowance.requestsPerMinute),
    };
  if (tokens.left <= 0)
    return { reason: 'tokens-per-minute', resumesInMs: timeFor(1 - tokens.left, allowance.tokensPerMinute) };
  return undefined;
}

const timeFor = (amount: number, perMinute = Number.POSITIVE_INFINITY): number =>
  Math.ceil((amount / perMinute) * minuteMs);

/** Pure. One request with about so many tokens has started. */
export function taken(limits: Limits, allowance: Allowance, tokens: number, nowMs: number): Limits {
  const now = refilled(limits, allowance, nowMs);
  return {
    ...now,
    requests: { ...now.requests, left: now.requests.left - 1 },
    tokens: { ...now.tokens, left: now.tokens.left - tokens },
  };
}

/** Pure. The guess was wrong by so many tokens: more than that were used, or, below 0, fewer. */
export function corrected(limits: Limits, allowance: Allowance, tokens: number, nowMs: number): Limits {
  const now = refilled(limits, allowance, nowMs);
  const most = capacity(allowance.tokensPerMinute, allowance.burst);
  return { ...now, tokens: { ...now.tokens, left: Math.min(most, now.tokens.left - tokens) } };
}

/** Pure. The provider said to wait. A shorter wait that was said later does not shorten a longer one. */
export const paused = (limits: Limits, forMs: number, nowMs: number): Limits => ({
  ...limits,
  pausedUntilMs: Math.max(limits.pausedUntilMs, nowMs + forMs),
});
