import type { ClusterId, Demand, Policy, Profile } from '@drover/schemas';
import { clusterUsdPer1k } from './costs.ts';
import { filters } from './filters/table.ts';
import type { Ask, Candidate, ClusterView } from './types.ts';
import type { BoundDemand } from './wake.ts';

/** A request that waits, and the cluster where it has a job already: that one is counted there. */
export type Wanting = { readonly ask: Ask; readonly hasJobAt?: ClusterId };

/** A cluster that could be woken or is awake, and what was last measured of it. */
export type Known = { readonly candidate: Candidate; readonly profile: Profile | undefined };

/** What waits, by the clusters that could take it. */
export type BoundWaiting = Demand['bound'][number];

/**
 * What one scheduler holds, by the clusters that could take it were they awake and free. Only what some of the clusters could not
 * take: everything else is served by a slot anywhere. Pure. What is not known of a cluster does not speak against it, as in
 * `decide`; what no cluster could take is left out, for nobody is to be woken for it.
 * @param elsewhere providers that nodes are not preferred to: what one of them could take waits for no node
 */
export function boundWaiting(
  wanting: Iterable<Wanting>,
  known: readonly Known[],
  elsewhere: readonly Candidate[],
  policy: Policy,
  nowMs: number,
): BoundWaiting[] {
  const awake = known.map(asAwake).filter(isOpen);
  const bought = elsewhere.filter((candidate) => isOpen(candidate) && candidate.view.phase === 'ready');
  const groups = new Map<string, { clusters: ClusterId[]; jobs: number }>();
  for (const { ask, hasJobAt } of wanting) {
    const largestContextTokens = largestContext(ask, [...awake, ...bought]);
    const takes = (candidate: Candidate) => couldTake(ask, candidate, policy, nowMs, largestContextTokens);
    const able = awake.filter(takes);
    if (able.length === 0 || able.length === awake.length || bought.some(takes)) continue;
    const clusters = able.map(({ view }) => view.cluster).sort();
    const group = groups.get(clusters.join()) ?? { clusters, jobs: 0 };
    groups.set(clusters.join(), group);
    if (hasJobAt === undefined || !clusters.includes(hasJobAt)) group.jobs++;
  }
  return [...groups.values()];
}

/** The demand of all that waits, whoever holds it, and of what runs where it could go. Pure. */
export function boundDemand(waiting: Iterable<BoundWaiting>, known: readonly Known[]): BoundDemand[] {
  const groups = new Map<string, { clusters: Set<ClusterId>; jobs: number }>();
  for (const { clusters, jobs } of waiting) {
    const group = groups.get(clusters.join()) ?? { clusters: new Set(clusters), jobs: 0 };
    groups.set(clusters.join(), group);
    group.jobs += jobs;
  }
  for (const group of groups.values())
    for (const { candidate } of known)
      if (group.clusters.has(candidate.view.cluster)) group.jobs += candidate.load;
  return [...groups.values()];
}

/** A cluster without a node, as it would be with one. */
function asAwake({ candidate, profile }: Known): Candidate {
  if (candidate.view.nodes > 0 || !profile) return candidate;
  const { model, rates, slotsPerNode } = profile;
  const view: ClusterView = { ...candidate.view, model, rates, slots: slotsPerNode, nodes: 1 };
  return { ...candidate, view };
}

/** Closed or without a price it is never chosen. */
const isOpen = ({ cordon, tariff }: Candidate): boolean => cordon === undefined && tariff !== undefined;

const lasting = filters.filter(({ permanent }) => permanent);

/** Whether nothing speaks against it that stays. */
function couldTake(
  ask: Ask,
  candidate: Candidate,
  policy: Policy,
  nowMs: number,
  largestContextTokens: number,
): boolean {
  const usdPer1k = clusterUsdPer1k(candidate.view, candidate.tariff);
  const subject = { ask, candidate, prediction: undefined, usdPer1k, policy, nowMs, largestContextTokens };
  return lasting.every((filter) => filter.refuses(subject) === undefined);
}

const largestContext = ({ model }: Ask, candidates: readonly Candidate[]): number =>
  candidates.reduce(
    (largest, { view }) =>
      view.model?.name === model ? Math.max(largest, view.model.contextTokens) : largest,
    0,
  );
