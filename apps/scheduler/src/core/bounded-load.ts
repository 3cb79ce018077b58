import type { Policy } from '@drover/schemas';
import type { Candidate } from './types.ts';

/**
 * A cluster that is fuller than `loadMax` times the fleet's mean gets no credit for its cache: a popular prefix must not
 * drown the one cluster that has it (consistent hashing with bounded loads). Those without a cache are left as they are.
 */
export function fairShareOfCache(
  candidates: readonly Candidate[],
  { affinity }: Policy,
): readonly Candidate[] {
  if (!affinity.enabled || !candidates.some(({ cachedTokens }) => cachedTokens)) return candidates;
  let load = 1;
  let slots = 0;
  for (const { view, load: jobs } of candidates) {
    if (view.phase !== 'ready') continue;
    load += jobs;
    slots += view.slots;
  }
  const loadPerSlotMax = (affinity.loadMax * load) / Math.max(1, slots);
  return candidates.map((candidate) => {
    const { cachedTokens, view, load: jobs } = candidate;
    const isTooFull = jobs + 1 > Math.ceil(loadPerSlotMax * view.slots);
    return cachedTokens && isTooFull ? { ...candidate, cachedTokens: 0 } : candidate;
  });
}
