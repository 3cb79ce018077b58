import type { Filter } from './filter.ts';

/** An old report is no evidence of free slots. */
export const reportFresh: Filter = {
  code: 'report-stale',
  permanent: false,
  refuses({ candidate: { view } }) {
    if (view.phase !== 'silent') return undefined;
    return view.reportAgeMs === undefined
      ? 'no agent has reported'
      : `last report ${(view.reportAgeMs / 1_000).toFixed(1)} s ago`;
  },
};
