import type { Profile, Tariff } from '@drover/schemas';
import { priorOutputTokens } from './output-lengths.ts';
import { slowestBootMs } from './profiles.ts';
import { slotsPerNode } from './rates.ts';
import type { Candidate } from './types.ts';
import { type ScalingRules, type Supply, type UsualWork, usefulWorkUsd } from './wake.ts';

/** Clusters are compared by the price of such a request. Its size matters little: the same one is asked of all. */
const usualWork: UsualWork = { promptTokens: 300, outputTokens: priorOutputTokens };
/**
 * A cluster that was never measured has no price of work. It is woken when every other one has all its nodes: then it
 * gets measured.
 */
const lastResortUsd = Number.MAX_VALUE;

export type Known = {
  readonly candidate: Candidate;
  readonly profile: Profile | undefined;
  /** Nodes that are wanted now. */
  readonly wanted: number;
  readonly failedWakeAtMs: number | undefined;
};

/** Pure. A cluster as `decideScaling` sees it. A cluster without a price could never be chosen, so it is not woken. */
export function supplyOf({ candidate, profile, wanted, failedWakeAtMs }: Known, rules: ScalingRules): Supply {
  const { view, tariff, breaker, cordon } = candidate;
  const ready = Math.min(view.nodes, wanted);
  const price = tariff && priceOfWork(tariff, candidate, profile);
  return {
    cluster: view.cluster,
    ready,
    booting: wanted - ready,
    nodesMax: rules.nodesMax[view.cluster] ?? 1,
    slotsPerNode: view.nodes > 0 ? slotsPerNode(view) : (profile?.slotsPerNode ?? 1),
    usable: breaker.allowed && cordon === undefined,
    closed: cordon !== undefined,
    ...(price === undefined ? {} : { usdPerRequest: price }),
    ...(failedWakeAtMs === undefined ? {} : { failedWakeAtMs }),
  };
}

function priceOfWork(tariff: Tariff, { view }: Candidate, profile: Profile | undefined): number {
  const rates = view.rates ?? profile?.rates;
  if (!rates) return lastResortUsd;
  const slots = view.nodes > 0 ? slotsPerNode(view) : (profile?.slotsPerNode ?? 1);
  return usefulWorkUsd(tariff, rates, slots, usualWork) ?? lastResortUsd;
}

const bootMaxMs = { unknown: 300_000, atLeast: 60_000, timesSlowest: 3 };

/** Pure. A wanted node that is not there after so long is not coming, in ms. */
export function bootPatienceMs(profile: Profile | undefined): number {
  const slowest = slowestBootMs(profile);
  return slowest === undefined
    ? bootMaxMs.unknown
    : Math.max(bootMaxMs.atLeast, bootMaxMs.timesSlowest * slowest);
}

/** A node that nobody asked for and that works counts as wanted, unless one was just let go and is on its way out. */
export const isAdopted = (
  nodes: number,
  wanted: number,
  releasedAtMs: number | undefined,
  nowMs: number,
): boolean => nodes > wanted && (releasedAtMs === undefined || nowMs - releasedAtMs > adoptAfterMs);

/** Longer than autoscalers take to let go of what nobody wants (KEDA's default cooldown is five minutes). */
const adoptAfterMs = 600_000;
