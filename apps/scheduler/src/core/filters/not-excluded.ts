import type { Filter } from './filter.ts';

/** A job that is moved must leave where it is. */
export const notExcluded: Filter = {
  code: 'excluded',
  permanent: false,
  refuses: ({ ask, candidate: { view } }) =>
    ask.leave === view.cluster ? 'the job is being moved away from here' : undefined,
};
