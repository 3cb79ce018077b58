import type { Filter } from './filter.ts';

/** Speed is measured, never assumed. The agent's self-benchmark gives an idle cluster its first figures. */
export const ratesKnown: Filter = {
  code: 'rates-unknown',
  permanent: false,
  refuses: ({ prediction }) => (prediction ? undefined : 'no speed has been measured yet'),
};
