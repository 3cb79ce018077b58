import type { Filter } from './filter.ts';

/** In a weighted draw, a cluster without a weight takes no part. */
export const hasWeight: Filter = {
  code: 'no-weight',
  permanent: false,
  refuses: ({ policy, candidate: { view } }) =>
    policy.strategy === 'weighted' && !((policy.weights[view.cluster] ?? 0) > 0)
      ? 'has no weight in the draw'
      : undefined,
};
