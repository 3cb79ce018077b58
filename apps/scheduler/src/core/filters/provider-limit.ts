import type { Filter } from './filter.ts';

/** A provider that takes nothing now: its limits per minute, or our budget. Asked before speed and slots, to say why there are none. */
export const providerLimit: Filter = {
  code: 'provider-limited',
  permanent: false,
  refuses({ candidate: { view, load } }) {
    const limit = view.provider?.limit;
    return limit && load >= view.slots
      ? `${limit.reason}, for ${(limit.resumesInMs / 1_000).toFixed(1)} s more`
      : undefined;
  },
};
