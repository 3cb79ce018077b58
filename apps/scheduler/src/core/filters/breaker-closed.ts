import type { Filter } from './filter.ts';

/** Asked last: a cluster refused by its breaker could otherwise have taken the request (see fail-open in decide.ts). */
export const breakerClosed: Filter = {
  code: 'breaker-open',
  permanent: false,
  refuses: ({ candidate: { breaker } }) => (breaker.allowed ? undefined : breaker.detail),
};
