/** Per minute; absent: no limit. */
export type RateLimits = {
  readonly requestsPerMinute?: number | undefined;
  readonly tokensPerMinute?: number | undefined;
};

/** How one limit stands; `resetMs` is when it will be full again. */
export type Standing = { readonly limit: number; readonly remaining: number; readonly resetMs: number };
export type Standings = { readonly requests?: Standing | undefined; readonly tokens?: Standing | undefined };

export type Taken =
  | { readonly kind: 'taken' }
  | { readonly kind: 'refused'; readonly of: 'requests' | 'tokens'; readonly retryAfterMs: number };

/** What one ingress has taken from the limits of a key. */
export type Share = RateLimits & { readonly requests: number; readonly tokens: number };

const minuteMs = 60_000;

/**
 * A bucket that holds a minute's worth and fills evenly. It may be overdrawn by what could not be known beforehand; the
 * debt is then filled up first.
 */
class Bucket {
  #level: number;
  #atMs: number;
  #perMinute: number;

  constructor(perMinute: number, nowMs: number) {
    this.#perMinute = perMinute;
    this.#level = perMinute;
    this.#atMs = nowMs;
  }

  /** Fills up to now, and takes a changed limit as it is from now on. */
  pass(perMinute: number, nowMs: number): void {
    const earned = (Math.max(0, nowMs - this.#atMs) * this.#perMinute) / minuteMs;
    this.#level = Math.min(perMinute, this.#level + earned);
    this.#atMs = Math.max(this.#atMs, nowMs);
    this.#perMinute = perMinute;
  }

  /** How long until `amount` is there, in ms; 0: it is. More than the bucket holds is asked for when it is full. */
  waitMs(amount: number): number {
    const missing = Math.min(amount, this.#perMinute) - this.#level;
    return missing <= 1e-9 ? 0 : (missing * minuteMs) / this.#perMinute;
  }

  change(amount: number): void {
    this.#level = Math.min(this.#perMinute, this.#level + amount);
  }

  get standing(): Standing {
    return {
      limit: this.#perMinute,
      remaining: Math.max(0, Math.floor(this.#level + 1e-9)),
      resetMs: ((this.#perMinute - this.#level) * minuteMs) / this.#perMinute,
    };
  }
}

/**
 * The limits of all keys, as one ingress counts them: what was taken there, and what others tell. Times are of one clock that
 * never goes back, in ms.
 */
export class RateLimiter {
  readonly #buckets = new Map<string, Bucket>();
  /** Taken here, and not told yet. */
  readonly #untold = new Map<string, Share>();

  /** Takes one request and `tokens`, or neither. */
  take(key: string, limits: RateLimits, tokens: number, nowMs: number): Taken {
    const requests = this.#bucket(key, 'requests', limits.requestsPerMinute, nowMs);
    const budget = this.#bucket(key, 'tokens', limits.tokensPerMinute, nowMs);
    const requestsMs = requests?.waitMs(1) ?? 0;
    const tokensMs = budget?.waitMs(tokens) ?? 0;
    if (requestsMs > 0 || tokensMs > 0)
      return {
        kind: 'refused',
        of: requestsMs >= tokensMs ? 'requests' : 'tokens',
        retryAfterMs: Math.max(requestsMs, tokensMs),
      };
    requests?.change(-1);
    budget?.change(-tokens);
    this.#note(key, limits, 1, tokens);
    return { kind: 'taken' };
  }

  /** The request took `tokens` more (or, below 0, fewer) than it was thought to. */
  correct(key: string, limits: RateLimits, tokens: number, nowMs: number): void {
    this.#bucket(key, 'tokens', limits.tokensPerMinute, nowMs)?.change(-tokens);
    this.#note(key, limits, 0, tokens);
  }

  /** What was taken here since the last call, for the others to be told; undefined: nothing. */
  toTell(): Readonly<Record<string, Share>> | undefined {
    if (this.#untold.size === 0) return undefined;
    const told = Object.fromEntries(this.#untold);
    this.#untold.clear();
    return told;
  }

  /** Another ingress has let this through, of the same limits. What was too much is missing from now on. */
  takenElsewhere(shares: Readonly<Record<string, Share>>, nowMs: number): void {
    for (const [key, { requests, tokens, ...limits }] of Object.entries(shares)) {
      this.#bucket(key, 'requests', limits.requestsPerMinute, nowMs)?.change(-requests);
      this.#bucket(key, 'tokens', limits.tokensPerMinute, nowMs)?.change(-tokens);
    }
  }

  #note(
    key: string,
    { requestsPerMinute, tokensPerMinute }: RateLimits,
    requests: number,
    tokens: number,
  ): void {
    const before = this.#untold.get(key);
    this.#untold.set(key, {
      requests: (before?.requests ?? 0) + requests,
      tokens: (before?.tokens ?? 0) + tokens,
      ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
      ...(tokensPerMinute === undefined ? {} : { tokensPerMinute }),
    });
  }

  standings(key: string, limits: RateLimits, nowMs: number): Standings {
    return {
      requests: this.#bucket(key, 'requests', limits.requestsPerMinute, nowMs)?.standing,
      tokens: this.#bucket(key, 'tokens', limits.tokensPerMinute, nowMs)?.standing,
    };
  }

  #bucket(key: string, of: 'requests' | 'tokens', perMinute: number | undefined, nowMs: number) {
    if (perMinute === undefined) return undefined;
    const name = `${of} ${key}`;
    const bucket = this.#buckets.get(name) ?? new Bucket(perMinute, nowMs);
    this.#buckets.set(name, bucket);
    bucket.pass(perMinute, nowMs);
    return bucket;
  }
}

/** Tokens of an answer whose length nobody has limited: a guess, corrected when the answer is there. */
const answerGuess = 256;

/** Pure. About how many tokens a request will take: a token is about four bytes of text. */
export function tokensGuess(body: Readonly<Record<string, unknown>>, bodyBytes: number): number {
  const prompt = Math.ceil(bodyBytes / 4);
  if ('input' in body) return prompt;
  const limit = [body.max_completion_tokens, body.max_tokens].find((value) => typeof value === 'number');
  const choices = typeof body.n === 'number' ? body.n : 1;
  return prompt + (typeof limit === 'number' ? limit : answerGuess) * choices;
}

/** Pure. The usual headers; none for what is not limited. */
export function rateLimitHeaders(standings: Standings): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const what of ['requests', 'tokens'] as const) {
    const standing = standings[what];
    if (standing === undefined) continue;
    headers[`x-ratelimit-limit-${what}`] = String(standing.limit);
    headers[`x-ratelimit-remaining-${what}`] = String(standing.remaining);
    headers[`x-ratelimit-reset-${what}`] = durationText(standing.resetMs);
  }
  return headers;
}

/** As OpenAI writes it: `0s`, `120ms`, `8s`, `1m30s`. */
function durationText(ms: number): string {
  if (ms > 0 && ms < 1_000) return `${Math.ceil(ms)}ms`;
  const seconds = Math.ceil(ms / 1_000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
