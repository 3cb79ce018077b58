import type { Report } from '@drover/schemas';
import type { Timings } from './finish.ts';

/** Old figures lose half their weight in this much *observed* time, so that an idle backend keeps what it has shown. */
const halfLifeMs = 60_000;
/** Fewer tokens say nothing about a speed. */
const tokensMin = 50;
/** A prompt that was nearly all cached costs one step whatever its length. */
const promptTokensMin = 8;
const ttftSamplesMax = 100;
const ttftAgeMs = 10 * 60_000;

/** Tokens over time, both fading. `seen` counts all tokens, and decides whether the figure may be stated. */
type Speed = { readonly tokens: number; readonly ms: number; readonly seen: number };

/** What the agent has measured of its backend. */
export type Rates = {
  /** Replies between their first and their last token. */
  readonly decoding: number;
  /** Generations that show no tokens while they run: the speed of the others says nothing meanwhile. */
  readonly opaque: number;
  /** Wall time up to here is accounted for. */
  readonly atMs: number;
  /** Speed of the whole backend by number of replies decoding. */
  readonly decode: ReadonlyMap<number, Speed>;
  readonly prefill: Speed;
  readonly ttft: readonly { readonly atMs: number; readonly ms: number }[];
};

export type Observation =
  /** A reply's first token: decoding begins. The token itself belongs to the prompt. */
  | { readonly kind: 'first-token'; readonly ttftMs?: number }
  | { readonly kind: 'tokens'; readonly count: number }
  /** A reply that had begun is over. */
  | { readonly kind: 'last-token' }
  | { readonly kind: 'opaque-begin' | 'opaque-end' }
  | { readonly kind: 'prompt'; readonly timings: Timings };

const noSpeed: Speed = { tokens: 0, ms: 0, seen: 0 };

export const noRates: Rates = {
  decoding: 0,
  opaque: 0,
  atMs: 0,
  decode: new Map(),
  prefill: noSpeed,
  ttft: [],
};

/** Pure. Takes one observation at `nowMs` of a monotonic clock. */
export function observe(rates: Rates, observation: Observation, nowMs: number): Rates {
  const now = elapse(rates, nowMs);
  switch (observation.kind) {
    case 'first-token':
      return { ...now, decoding: now.decoding + 1, ttft: remember(now.ttft, observation.ttftMs, nowMs) };
    case 'tokens':
      return now.opaque > 0 || now.decoding === 0
        ? now
        : { ...now, decode: update(now.decode, now.decoding, { tokens: observation.count, ms: 0 }) };
    case 'last-token':
      return { ...now, decoding: Math.max(0, now.decoding - 1) };
    case 'opaque-begin':
      return { ...now, opaque: now.opaque + 1 };
    case 'opaque-end':
      return { ...now, opaque: Math.max(0, now.opaque - 1) };
    case 'prompt':
      return { ...now, prefill: addPrompt(now.prefill, observation.timings) };
  }
}

/** Pure. Forgets the speeds of a backend that is gone, but not which replies are under way. */
export const forgetSpeeds = (rates: Rates): Rates => ({ ...rates, decode: new Map(), prefill: noSpeed });

/** Pure. The figures that may be stated; absent until they rest on enough tokens. */
export function statedRates(rates: Rates): Report['rates'] {
  const decode = [...rates.decode]
    .filter(([, speed]) => isStated(speed))
    .sort(([a], [b]) => a - b)
    .map(([b, speed]) => ({ b, tps: tpsOf(speed), n: Math.max(1, Math.round(speed.tokens)) }));
  const prefill = isStated(rates.prefill) ? { prefillTps: tpsOf(rates.prefill) } : {};
  return decode.length === 0 && !('prefillTps' in prefill) ? undefined : { ...prefill, decode };
}

/** Pure. Recent times to first token; absent when there are none. */
export function statedTtft(rates: Rates, nowMs: number): Report['ttftMs'] {
  const recent = rates.ttft.filter(({ atMs }) => atMs > nowMs - ttftAgeMs).map(({ ms }) => ms);
  if (recent.length === 0) return undefined;
  recent.sort((a, b) => a - b);
  return { p50: quantile(recent, 0.5), p95: quantile(recent, 0.95), n: recent.length };
}

/** The wall time since the last observation belongs to the number of replies that were decoding. */
function elapse(rates: Rates, nowMs: number): Rates {
  const ms = Math.max(0, nowMs - rates.atMs);
  if (rates.decoding === 0 || rates.opaque > 0 || ms === 0) return { ...rates, atMs: nowMs };
  return { ...rates, atMs: nowMs, decode: update(rates.decode, rates.decoding, { tokens: 0, ms }) };
}

function update(
  decode: Rates['decode'],
  b: number,
  sample: { readonly tokens: number; readonly ms: number },
): Rates['decode'] {
  const next = new Map(decode);
  next.set(b, add(decode.get(b) ?? noSpeed, sample));
  return next;
}

function addPrompt(prefill: Speed, { prompt_n, prompt_ms }: Timings): Speed {
  return prompt_n < promptTokensMin || prompt_ms <= 0
    ? prefill
    : add(prefill, { tokens: prompt_n, ms: prompt_ms });
}

function add(speed: Speed, sample: { readonly tokens: number; readonly ms: number }): Speed {
  const keep = 0.5 ** (sample.ms / halfLifeMs);
  return {
    tokens: speed.tokens * keep + sample.tokens,
    ms: speed.ms * keep + sample.ms,
    seen: speed.seen + sample.tokens,
  };
}

const isStated = (speed: Speed): boolean => speed.seen >= tokensMin && speed.ms > 0 && speed.tokens > 0;
const tpsOf = (speed: Speed): number => (speed.tokens / speed.ms) * 1_000;

function remember(ttft: Rates['ttft'], ms: number | undefined, atMs: number): Rates['ttft'] {
  return ms === undefined ? ttft : [...ttft.slice(-(ttftSamplesMax - 1)), { atMs, ms }];
}

/** Nearest rank; `sorted` is not empty. */
const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? 0;
