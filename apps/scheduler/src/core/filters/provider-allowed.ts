import type { Filter } from './filter.ts';

/** The policy may keep prompts on clusters of our own. */
export const providerAllowed: Filter = {
  code: 'provider-not-allowed',
  permanent: true,
  refuses: ({ policy, candidate: { view } }) =>
    view.provider && policy.providers === 'off' ? 'the policy uses no providers' : undefined,
};
