import type { Filter } from './filter.ts';

/**
 * The caller's ceiling on the nominal price. Permanent: the caller asked for a price, not for patience. Asked before the
 * passing reasons, so that a cluster that is both full and too dear is not waited for.
 */
export const priceCeiling: Filter = {
  code: 'price-above-ceiling',
  permanent: true,
  refuses({ ask, usdPer1k }) {
    const ceiling = ask.request.maxUsdPer1k;
    return ceiling !== undefined && usdPer1k !== undefined && usdPer1k > ceiling
      ? `$${usdPer1k.toPrecision(3)} per 1K, ceiling $${ceiling}`
      : undefined;
  },
};
