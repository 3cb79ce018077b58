import type { Filter } from './filter.ts';

/** An operator has closed the cluster to new work. It may be opened again: whoever fits nowhere else waits. */
export const notCordoned: Filter = {
  code: 'cordoned',
  permanent: false,
  refuses: ({ candidate: { cordon } }) =>
    cordon === undefined ? undefined : `closed by an operator: ${cordon}`,
};
