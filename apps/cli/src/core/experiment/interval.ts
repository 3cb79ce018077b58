/** A ratio of two sums: a share, a mean or a price. What one cluster of observations adds to both. */
export type Sums = { readonly over: number; readonly under: number };

export type Interval = { readonly low: number; readonly high: number };

/** Resamples; more change the third digit only. */
const resamples = 2_000;
/** The same data always give the same interval. */
const seed = 20_260_101;

export const ratioOf = (clusters: readonly Sums[]): number | undefined => {
  let over = 0;
  let under = 0;
  for (const one of clusters) {
    over += one.over;
    under += one.under;
  }
  return under > 0 ? over / under : undefined;
};

/**
 * Pure. The 95 % interval of a ratio by bootstrap over clusters: whole windows (or users) are drawn again with replacement,
 * since requests of the same one are alike and tell less than their number says. Undefined for fewer than two clusters.
 */
export function intervalOf(clusters: readonly Sums[]): Interval | undefined {
  return bootstrap([clusters], ([ratio]) => ratio);
}

/** The same of how far the ratio of `b` is above that of `a`. */
export function differenceInterval(a: readonly Sums[], b: readonly Sums[]): Interval | undefined {
  return bootstrap([a, b], ([ofA, ofB]) => (ofA === undefined || ofB === undefined ? undefined : ofB - ofA));
}

function bootstrap(
  samples: readonly (readonly Sums[])[],
  figure: (ratios: readonly (number | undefined)[]) => number | undefined,
): Interval | undefined {
  // What has nothing under the line tells nothing, and is no cluster.
  const telling = samples.map((clusters) => clusters.filter(({ under }) => under > 0));
  if (telling.some((clusters) => clusters.length < 2)) return undefined;
  const random = randomOf(seed);
  const figures: number[] = [];
  for (let n = 0; n < resamples; n++) {
    const value = figure(telling.map((clusters) => ratioOf(drawn(clusters, random))));
    if (value !== undefined) figures.push(value);
  }
  figures.sort((a, b) => a - b);
  const at = (share: number) => figures[Math.round(share * (figures.length - 1))];
  const [low, high] = [at(0.025), at(0.975)];
  return low === undefined || high === undefined ? undefined : { low, high };
}

const drawn = (clusters: readonly Sums[], random: () => number): Sums[] =>
  clusters.map(() => clusters[Math.floor(random() * clusters.length)] ?? { over: 0, under: 0 });

/** Mulberry32: small, seeded, and even enough to draw with. */
function randomOf(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
