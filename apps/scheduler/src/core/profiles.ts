import { bootsKept, type ClusterId, type Profile } from '@drover/schemas';
import { slotsPerNode } from './rates.ts';
import type { ClusterView } from './types.ts';

/** What a cluster's nodes show now, with the starts that are known; `known` as it was while they show nothing. */
export function profileOf(
  cluster: ClusterId,
  view: ClusterView,
  known: Profile | undefined,
  nowMs: number,
): Profile | undefined {
  const { model, rates, nodes } = view;
  if (nodes === 0 || !model || !rates) return known;
  return {
    v: 1,
    cluster,
    slotsPerNode: slotsPerNode(view),
    model,
    rates,
    bootsMs: known?.bootsMs ?? [],
    measuredAtMs: nowMs,
  };
}

/** With one more start, from being wanted to being ready. */
export const withBoot = (profile: Profile, bootMs: number): Profile => ({
  ...profile,
  bootsMs: [...profile.bootsMs, bootMs].slice(-bootsKept),
});

/** How long a node takes from being wanted to being ready: the median of its last starts; undefined when none is known. */
export function usualBootMs(profile: Profile | undefined): number | undefined {
  const sorted = profile?.bootsMs.toSorted((a, b) => a - b) ?? [];
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

/** The slowest start that is remembered; undefined when none is known. */
export const slowestBootMs = (profile: Profile | undefined): number | undefined =>
  profile && profile.bootsMs.length > 0 ? Math.max(...profile.bootsMs) : undefined;
