import type { Filter } from './filter.ts';

/** The policy's limit on jobs that wait at a cluster, counted by our own ledger. */
export const queueShort: Filter = {
  code: 'queue-too-deep',
  permanent: false,
  refuses({ policy, candidate: { view, load } }) {
    const waiting = Math.max(0, load - view.slots);
    return policy.queueDepthMax !== undefined && waiting > policy.queueDepthMax
      ? `${waiting} waiting, at most ${policy.queueDepthMax}`
      : undefined;
  },
};
