import type { Refusal } from '../refusal.ts';

/** What a provider answered instead of an answer. */
export type ProviderRefusal = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly error?:
    | {
        readonly message?: string | undefined;
        readonly type?: string | null | undefined;
        readonly code?: number | string | null | undefined;
      }
    | undefined;
};

/** When a provider says to wait and not how long. */
const waitMs = 5_000;
/** No money is left on the account there: somebody has to pay a bill first. */
const outOfMoneyMs = 300_000;
const waitMaxMs = 3_600_000;

/**
 * Pure. What an error answer of a provider means for the request.
 * - 429, 402, 529, and 503 with a time: `limited`. Nothing runs there for a while; the request is given back.
 * - 401: the key is no good, so nobody's request is answered: `down`.
 * - 403, 404, other 5xx, and redirections, which would carry the key elsewhere: `failed`.
 * - any other 4xx is about the request itself: `refused`.
 */
export function providerRefusalOf({ status, headers, error }: ProviderRefusal, nowMs: number): Refusal {
  const message = `the provider answered with status ${status}${error?.message ? `: ${error.message}` : ''}`;
  const retryAfterMs = retryAfterOf(headers, nowMs);
  if (status === 402 || error?.code === 'insufficient_quota' || error?.type === 'insufficient_quota')
    return { kind: 'limited', retryAfterMs: Math.max(retryAfterMs ?? 0, outOfMoneyMs), message };
  if (status === 429 || status === 529 || (status === 503 && retryAfterMs !== undefined))
    return { kind: 'limited', retryAfterMs: retryAfterMs ?? waitMs, message };
  if (status === 401) return { kind: 'down', message };
  if (status === 400 && error?.code === 'context_length_exceeded')
    return { kind: 'refused', code: 'context_length_exceeded', message };
  const isOurs = status === 403 || status === 404 || status === 407 || status === 408;
  if (status >= 400 && status < 500 && !isOurs) return { kind: 'refused', code: 'backend_refused', message };
  return { kind: 'failed', message };
}

/** In ms, at most an hour: `retry-after-ms`, or `retry-after` in seconds or as a date. Undefined when neither says so. */
export function retryAfterOf(headers: ProviderRefusal['headers'], nowMs: number): number | undefined {
  const milliseconds = Number(headers['retry-after-ms'] ?? Number.NaN);
  if (milliseconds >= 0) return Math.min(milliseconds, waitMaxMs);
  const value = headers['retry-after']?.trim();
  if (!value) return undefined;
  const seconds = Number(value);
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(value) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), waitMaxMs);
}
