/** What was seen of a provider's speed. Never forgotten for want of requests: a stale figure is still a measurement. */
export type Speed = {
  readonly ttftsMs: readonly number[];
  /** Tokens of single answers over the time from first to last; old answers fade. */
  readonly tokens: number;
  readonly ms: number;
  readonly seen: number;
};

export const noSpeed: Speed = { ttftsMs: [], tokens: 0, ms: 0, seen: 0 };

const samplesMax = 100;
const keep = 0.95;
/** A shorter answer says nothing about a speed. */
const tokensMin = 4;

/** Pure. An answer began after `ttftMs`. */
export const withFirstToken = (speed: Speed, ttftMs: number): Speed => ({
  ...speed,
  ttftsMs: [...speed.ttftsMs, ttftMs].slice(-samplesMax),
});

/** Pure. An answer had so many tokens after its first, which took so long. */
export function withAnswer(speed: Speed, tokens: number, ms: number): Speed {
  if (tokens < tokensMin || ms <= 0) return speed;
  return {
    ...speed,
    tokens: speed.tokens * keep + tokens,
    ms: speed.ms * keep + ms,
    seen: speed.seen + tokens,
  };
}

/** Pure. The median; undefined before the first. */
export function usualTtftMs({ ttftsMs }: Speed): number | undefined {
  const sorted = ttftsMs.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

/** Pure. Tokens per second of one answer; undefined before the first. */
export const answerTps = ({ tokens, ms }: Speed): number | undefined =>
  ms > 0 ? (tokens / ms) * 1_000 : undefined;
