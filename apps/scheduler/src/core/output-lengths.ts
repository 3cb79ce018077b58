import type { Endpoint } from '@drover/schemas';

/** Answers are this long until we know better. Its origin is the median of published chat traces. */
export const priorOutputTokens = 200;
/** Fewer answers than this say nothing about the next one. */
const samplesMin = 5;
/** Recent answers kept per tenant and endpoint. */
const samplesMax = 64;
/** Pairs of tenant and endpoint kept; the one that was silent longest goes first. */
const pairsMax = 1_000;

/** Learns how long the answers of a tenant at an endpoint usually are: the median of the last 64. */
export class OutputLengths {
  readonly #samples = new Map<string, { lengths: number[]; median: number }>();

  learn(tenant: string, endpoint: Endpoint, tokens: number): void {
    const key = `${tenant} ${endpoint}`;
    const lengths = [...(this.#samples.get(key)?.lengths ?? []), tokens].slice(-samplesMax);
    this.#samples.delete(key);
    this.#samples.set(key, { lengths, median: medianOf(lengths) });
    if (this.#samples.size > pairsMax) {
      for (const oldest of this.#samples.keys()) {
        this.#samples.delete(oldest);
        break;
      }
    }
  }

  /** The usual length in tokens, or undefined while there is too little to go by. */
  usual(tenant: string, endpoint: Endpoint): number | undefined {
    const known = this.#samples.get(`${tenant} ${endpoint}`);
    return known && known.lengths.length >= samplesMin ? known.median : undefined;
  }
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
