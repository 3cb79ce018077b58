import type { Filter } from './filter.ts';

/** Without a price nothing can be compared; a default would be an invention. */
export const priceKnown: Filter = {
  code: 'price-unknown',
  permanent: false,
  refuses({ candidate: { tariff, view } }) {
    if (!tariff) return 'no tariff';
    return view.provider && !tariff.usdPerMillion ? 'no price per token' : undefined;
  },
};
