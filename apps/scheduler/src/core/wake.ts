import type { ClusterId, Policy, Tariff } from '@drover/schemas';
import { usdOf } from './costs.ts';
import { decodeTps } from './rates.ts';
import type { Rates } from './types.ts';

export type ScalingRules = NonNullable<Policy['scaling']>;

/** A cluster as the decision to wake or to let go sees it. */
export type Supply = {
  readonly cluster: ClusterId;
  /** Nodes that serve. */
  readonly ready: number;
  /** Nodes that will. */
  readonly booting: number;
  readonly nodesMax: number;
  readonly slotsPerNode: number;
  /** USD that a usual request costs there with all slots busy: the price of useful work. Absent: never woken. */
  readonly usdPerRequest?: number;
  /** False while its breaker is open or an operator has closed it. */
  readonly usable: boolean;
  /** True while an operator has closed it: what it has is no supply, and it is not needed. */
  readonly closed?: boolean;
  /** When a wake last came to nothing. */
  readonly failedWakeAtMs?: number;
};

/** What a request usually is, in tokens. */
export type UsualWork = { readonly promptTokens: number; readonly outputTokens: number };

/** The price of useful work: USD of a usual request with all slots busy. Undefined while a rate is unknown. */
export function usefulWorkUsd(
  tariff: Tariff,
  rates: Rates,
  slotsPerNode: number,
  { promptTokens, outputTokens }: UsualWork,
): number | undefined {
  const together = decodeTps(rates.decode, slotsPerNode);
  if (together === undefined || !rates.prefillTps) return undefined;
  return usdOf(tariff, promptTokens / rates.prefillTps + outputTokens / together);
}

export type ScalingState = {
  readonly atMs: number;
  /** Jobs that run or wait: the mean of the last minutes … */
  readonly mean: number;
  /** … and the most of it that is not forgotten yet. */
  readonly demand: number;
  /** Since when each cluster has had a node more than is needed. */
  readonly surplusSinceMs: ReadonlyMap<ClusterId, number>;
};

export const noDemand: ScalingState = { atMs: 0, mean: 0, demand: 0, surplusSinceMs: new Map() };

/** What waits and only some of the clusters could take: a spare slot anywhere else is no help to it. */
export type BoundDemand = {
  readonly clusters: ReadonlySet<ClusterId>;
  /** Jobs that wait for one of these clusters or run there. */
  readonly jobs: number;
};

export type Scaling = {
  readonly state: ScalingState;
  /** Clusters that should start one more node, each mention one node. */
  readonly wake: readonly ClusterId[];
  /** Clusters that should let one node go, after what it runs. */
  readonly release: readonly ClusterId[];
};

/**
 * Decides which clusters to wake and which to let go, by demand and the price of useful work. Pure; to be asked every few
 * seconds, in one place. The cheapest that can is woken; the dearest that is not needed is released first, one at a time,
 * and only when the others have a margin over what is needed, so that what was let go is not woken again at once.
 * @param jobs that run or wait now   @param bound those of them that only some clusters could take: bound-demand.ts
 */
export function decideScaling(
  before: ScalingState,
  supplies: readonly Supply[],
  jobs: number,
  rules: ScalingRules,
  nowMs: number,
  bound: readonly BoundDemand[] = [],
): Scaling {
  const { mean, demand } = demandAfter(before, jobs, rules, nowMs);
  // What the demand counts already is no backlog on top of it.
  const backlog = Math.max(0, jobs - Math.max(slotsOf(supplies), demand));
  const needed = neededOf(supplies, demand, backlog, rules);
  // Nobody is woken for the memory of a demand: with nobody there, whoever comes next is soon enough.
  const wanted = jobs === 0 ? [] : toWake(supplies, needed, bound, rules, nowMs);
  const surplusSinceMs = new Map<ClusterId, number>();
  if (wanted.length === 0)
    for (const supply of supplies)
      if (
        isSurplus(
          supply,
          supplies,
          needed(supply) * (1 + rules.surplusMargin / dearness(supply, supplies)),
          jobs,
        ) &&
        !isKept(supply, supplies, bound)
      )
        surplusSinceMs.set(supply.cluster, before.surplusSinceMs.get(supply.cluster) ?? nowMs);
  const wake = jobs === 0 || wanted.length > 0 ? wanted : toSwap(supplies, surplusSinceMs, rules, nowMs);
  const release = toRelease(supplies, surplusSinceMs, rules, nowMs);
  return { state: { atMs: nowMs, mean, demand, surplusSinceMs }, wake, release };
}

/** The first jobs after a silence count at once: a mean would wait for more of them. */
function demandAfter(
  { atMs, mean, demand }: ScalingState,
  jobs: number,
  { averageMs, decayMs }: ScalingRules,
  nowMs: number,
): { mean: number; demand: number } {
  if (mean === 0) return { mean: jobs, demand: jobs };
  const elapsedMs = Math.max(0, nowMs - atMs);
  const newMean = jobs + (mean - jobs) * Math.exp(-elapsedMs / averageMs);
  const kept = decayMs === 0 ? 0 : Math.exp(-elapsedMs / decayMs);
  return { mean: newMean, demand: Math.max(newMean, newMean + (demand - newMean) * kept) };
}

const slotsOf = (supplies: readonly Supply[]): number =>
  supplies.reduce(
    (sum, { ready, booting, slotsPerNode, closed }) => sum + (closed ? 0 : (ready + booting) * slotsPerNode),
    0,
  );

/** Slots that there should be before a cluster is asked for another one. */
type Needed = (supply: Supply) => number;

/**
 * What runs and waits needs slots wherever they are; those to spare beyond it are bought by price. At a cluster whose work
 * is twice as dear as the cheapest, half as many are kept: the same money buys the same safety.
 */
function neededOf(
  supplies: readonly Supply[],
  demand: number,
  backlog: number,
  { utilisation, backlogShare }: ScalingRules,
): Needed {
  const spare = demand / utilisation - demand;
  return (supply) => demand + spare / dearness(supply, supplies) + backlog * backlogShare;
}

/** How many times dearer its work is than the cheapest that can be used; 1 where a price is unknown. */
function dearness(supply: Supply, supplies: readonly Supply[]): number {
  let least = Number.POSITIVE_INFINITY;
  for (const other of supplies) if (other.usable) least = Math.min(least, priceOf(other));
  const times = priceOf(supply) / least;
  return Number.isFinite(times) ? Math.max(1, times) : 1;
}

function toWake(
  supplies: readonly Supply[],
  needed: Needed,
  bound: readonly BoundDemand[],
  rules: ScalingRules,
  nowMs: number,
): ClusterId[] {
  const wake: ClusterId[] = [];
  // What has the least choice comes first: what is woken for it serves the others too.
  for (const { clusters, jobs } of bound.toSorted((a, b) => a.clusters.size - b.clusters.size))
    wakeAmong(within(supplies, clusters), () => jobs, wake, rules, nowMs);
  wakeAmong(supplies, needed, wake, rules, nowMs);
  return wake;
}

/** Adds to `wake` the cheapest of some clusters until they have the slots that are needed. */
function wakeAmong(
  supplies: readonly Supply[],
  needed: Needed,
  wake: ClusterId[],
  rules: ScalingRules,
  nowMs: number,
): void {
  const woken = ({ cluster }: Supply): number => wake.filter((name) => name === cluster).length;
  let slots = supplies.reduce((sum, one) => sum + woken(one) * one.slotsPerNode, slotsOf(supplies));
  while (true) {
    const cheapest = cheapestFirst(supplies).find(
      (supply) => canWake(supply, rules, nowMs) && hasRoom(supply, woken(supply)),
    );
    if (!cheapest || needed(cheapest) <= slots) break;
    wake.push(cheapest.cluster);
    slots += cheapest.slotsPerNode;
  }
}

const within = (supplies: readonly Supply[], clusters: ReadonlySet<ClusterId>): Supply[] =>
  supplies.filter(({ cluster }) => clusters.has(cluster));

/**
 * One node of the cheapest cluster beside one that is clearly dearer: once it is ready the dear one is not needed any more.
 * One at a time, so that supply never falls.
 */
function toSwap(
  supplies: readonly Supply[],
  surplus: ReadonlyMap<ClusterId, number>,
  rules: ScalingRules,
  nowMs: number,
): ClusterId[] {
  if (supplies.some(({ booting }) => booting > 0)) return [];
  const dearest = cheapestFirst(supplies).findLast(({ ready }) => ready > 0);
  // It is on its way out already.
  if (dearest && surplus.has(dearest.cluster)) return [];
  const cheapest = cheapestFirst(supplies).find((supply) => canWake(supply, rules, nowMs) && hasRoom(supply));
  if (!dearest || !cheapest || priceOf(cheapest) >= priceOf(dearest) * (1 - rules.swapMargin)) return [];
  return [cheapest.cluster];
}

const canWake = (
  { usable, usdPerRequest, failedWakeAtMs }: Supply,
  rules: ScalingRules,
  nowMs: number,
): boolean =>
  usable &&
  usdPerRequest !== undefined &&
  (failedWakeAtMs === undefined || nowMs - failedWakeAtMs >= rules.failedWakeMs);

const hasRoom = ({ ready, booting, nodesMax }: Supply, woken = 0): boolean =>
  ready + booting + woken < nodesMax;

const cheapestFirst = (supplies: readonly Supply[]): Supply[] =>
  supplies.toSorted((a, b) => priceOf(a) - priceOf(b));

const priceOf = ({ usdPerRequest = Number.POSITIVE_INFINITY }: Supply): number => usdPerRequest;

/** One node less would do; the last one goes only when nobody is there. */
function isSurplus(supply: Supply, supplies: readonly Supply[], needed: number, jobs: number): boolean {
  if (supply.ready === 0) return false;
  if (supply.closed) return true;
  const rest = slotsOf(supplies) - supply.slotsPerNode;
  return jobs === 0 || (rest > 0 && rest >= needed);
}

/** What waits for it, or runs there, would have too few slots without one of its nodes. */
const isKept = (supply: Supply, supplies: readonly Supply[], bound: readonly BoundDemand[]): boolean =>
  !supply.closed &&
  bound.some(
    ({ clusters, jobs }) =>
      clusters.has(supply.cluster) && slotsOf(within(supplies, clusters)) - supply.slotsPerNode < jobs,
  );

/** The dearest whose cool-down is over. */
function toRelease(
  supplies: readonly Supply[],
  surplusSinceMs: ReadonlyMap<ClusterId, number>,
  rules: ScalingRules,
  nowMs: number,
): ClusterId[] {
  const dearestFirst = supplies.filter(({ ready }) => ready > 0).toSorted((a, b) => priceOf(b) - priceOf(a));
  const last = dearestFirst.length - 1;
  const due = dearestFirst.find(({ cluster }, rank) => {
    const sinceMs = surplusSinceMs.get(cluster);
    if (sinceMs === undefined) return false;
    const share = last === 0 ? 1 : rank / last;
    const coolDownMs = rules.coolDownDearestMs + share * (rules.coolDownCheapestMs - rules.coolDownDearestMs);
    return nowMs - sinceMs >= coolDownMs;
  });
  return due ? [due.cluster] : [];
}
