import type { Filter } from './filter.ts';

/** Late binding: a job goes where a slot (or the policy's buffer behind it) is free; otherwise it waits centrally. */
export const freeSlot: Filter = {
  code: 'no-free-slot',
  permanent: false,
  refuses: ({ policy, candidate: { view, load } }) =>
    load >= view.slots + policy.bufferSlots ? `${load} jobs, ${view.slots} slots` : undefined,
};
