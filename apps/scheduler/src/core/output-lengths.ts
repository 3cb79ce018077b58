import type { Endpoint } from '@drover/schemas';

/** Answers are this long until we know better. Its origin is the median of published chat traces. */
export const priorOutputTokens = 200;
/** Fewer answers than this say nothing about the next one. */
const samplesMin = 5;
/** Recent answers kept per tenant and endpoint. */
const samplesMax = 64;
/** Pairs of tenant and endpoint kept; the one that was silent longest goes first. */
const pairsMax = 1_000;

/** Tokens of an answer: half of the last ones were shorter than `usual`, nine of ten shorter than `long`. */
export type Lengths = { readonly usual: number; readonly long: number };

/** Learns how long the answers of a tenant at an endpoint are: quantiles of the last 64, which follow a change of habit. */
export class OutputLengths {
  readonly #samples = new Map<string, { recent: number[]; lengths: Lengths }>();

  learn(tenant: string, endpoint: Endpoint, tokens: number): void {
    const key = `${tenant} ${endpoint}`;
    const recent = [...(this.#samples.get(key)?.recent ?? []), tokens].slice(-samplesMax);
    this.#samples.delete(key);
    this.#samples.set(key, { recent, lengths: lengthsOf(recent) });
    if (this.#samples.size > pairsMax) {
      for (const oldest of this.#samples.keys()) {
        this.#samples.delete(oldest);
        break;
      }
    }
  }

  /** What is known, or undefined while there is too little to go by. */
  known(tenant: string, endpoint: Endpoint): Lengths | undefined {
    const known = this.#samples.get(`${tenant} ${endpoint}`);
    return known && known.recent.length >= samplesMin ? known.lengths : undefined;
  }
}

function lengthsOf(recent: readonly number[]): Lengths {
  const sorted = recent.toSorted((a, b) => a - b);
  const at = (quantile: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? 0;
  return { usual: at(0.5), long: at(0.9) };
}
