import { leastRates, leastValueOf, leastWork } from './bounds.ts';
import { minimise } from './program.ts';
import { type ClusterSpec, decodeAt, priceStepMs, pricesOf, type Scenario } from './scenario.ts';
import { type Arrival, tpotMaxMs } from './trace.ts';

/** One bin. Prices stand still within it, since it divides their step. */
const binMs = 30_000;

export type Day = { readonly arrivals: readonly Arrival[]; readonly endMs: number };

/**
 * L3: USD that no policy can go below which keeps every promise, each where the request was first begun. Like the program
 * of bounds.ts it knows everything, splits requests over clusters and bins, fills every slot and buys fractions of nodes.
 * Beyond that one it asks for two things that the simulated world asks of everybody:
 * - A promise is kept only if the first token is there in time, and a reply that has begun goes on, at the pace of a full
 *   node of the slowest cluster at the least: its work cannot wait until the deadline.
 * - A node that becomes ready has paid its own boot: one that ends elsewhere does not pay for it.
 * A node may come and go anywhere in a bin, and is paid for that part only.
 */
export async function keptBound(scenario: Scenario, day: Day, seed: number): Promise<number> {
  return leastValueOf(programOf(scenario, day, seed));
}

const binOf = (ms: number): number => Math.floor(ms / binMs);

/** Tokens of prompts or of answers that came in one bin and have to be computed by another, that one included. */
type Group = {
  readonly what: 'prompt' | 'output';
  readonly bin: number;
  readonly last: number;
  tokens: number;
};

function groupsOf({ clusters }: Scenario, arrivals: readonly Arrival[]): Group[] {
  // The slowest that a reply can be written that has a slot: a full node of the slowest cluster.
  const slowestMs = Math.max(...clusters.map((spec) => (spec.slots * 1_000) / decodeAt(spec, spec.slots)));
  const groups = new Map<string, Group>();
  for (const [arrival, work] of leastWork(arrivals)) {
    const { atMs, ttftMaxMs, deadlineAtMs, outputTokens, slowness } = arrival;
    const firstAtMs = Math.min(deadlineAtMs, atMs + ttftMaxMs);
    const writingMs = outputTokens * Math.min(tpotMaxMs, slowestMs * slowness);
    const lastAtMs = Math.min(deadlineAtMs, firstAtMs + writingMs);
    for (const [what, untilMs] of [['prompt', firstAtMs] as const, ['output', lastAtMs] as const]) {
      const [bin, last] = [binOf(atMs), binOf(untilMs)];
      const group = groups.get(`${what} ${bin} ${last}`) ?? { what, bin, last, tokens: 0 };
      group.tokens += work[what];
      groups.set(`${what} ${bin} ${last}`, group);
    }
  }
  return [...groups.values()];
}

/** The program as text, in the LP format. */
function programOf(scenario: Scenario, { arrivals, endMs }: Day, seed: number): string {
  const bins = Math.ceil(endMs / binMs);
  const objective: string[] = [];
  const rows: string[] = [];
  const limits: string[] = [];
  /** Terms of the work in each bin of each cluster, in bins of a node. */
  const work = scenario.clusters.map(() => Array.from({ length: bins }, (): string[] => []));

  groupsOf(scenario, arrivals).forEach(({ what, bin, last, tokens }, group) => {
    const shares: string[] = [];
    scenario.clusters.forEach((spec, cluster) => {
      const { perPrompt, perOutput } = leastRates(spec);
      const nodeBins = ((what === 'prompt' ? perPrompt : perOutput) * 1_000) / binMs;
      for (let at = bin; at <= Math.min(bins - 1, last); at++) {
        const share = `x${group}_${cluster}_${at}`;
        shares.push(share);
        work[cluster]?.[at]?.push(`${nodeBins.toFixed(9)} ${share}`);
      }
    });
    rows.push(`${shares.join(' + ')} >= ${tokens.toFixed(6)}`);
  });
  scenario.clusters.forEach((spec, cluster) => {
    const prices = pricesOf(spec, endMs, seed);
    limits.push(`n${cluster}_0 = 0`);
    for (let at = 0; at < bins; at++) {
      // Nodes at the beginning of the bin and of the next; node time paid in it; nodes that come and go in it.
      const [here, next] = [`n${cluster}_${at}`, `n${cluster}_${at + 1}`];
      const [paid, up, down] = [`t${cluster}_${at}`, `u${cluster}_${at}`, `e${cluster}_${at}`];
      objective.push(`${((priceAt(prices, at * binMs) * binMs) / 3_600_000).toFixed(9)} ${paid}`);
      objective.push(`${bootUsd(spec, prices, at).toFixed(9)} ${up}`);
      rows.push(`${next} - ${here} - ${up} + ${down} = 0`);
      rows.push(`${paid} - ${here} + ${down} >= 0`, `${paid} - ${here} - ${up} <= 0`);
      const terms = work[cluster]?.[at] ?? [];
      if (terms.length > 0) rows.push(`${terms.join(' + ')} - ${paid} <= 0`);
      limits.push(`0 <= ${paid} <= ${isOut(scenario, spec, at) ? 0 : spec.nodesMax}`);
    }
  });
  return minimise(objective, rows, limits);
}

const priceAt = (prices: readonly number[], atMs: number): number =>
  prices[Math.floor(Math.max(0, atMs) / priceStepMs)] ?? prices.at(-1) ?? 0;

/** The least that a boot costs which ends somewhere in this bin. */
function bootUsd({ bootMs }: ClusterSpec, prices: readonly number[], bin: number): number {
  let least = priceAt(prices, (bin + 1) * binMs - 1);
  for (let atMs = bin * binMs - bootMs; atMs < (bin + 1) * binMs; atMs += binMs)
    least = Math.min(least, priceAt(prices, atMs));
  return (least * bootMs) / 3_600_000;
}

/** Out for the whole of a bin. */
const isOut = ({ outages }: Scenario, { name }: ClusterSpec, bin: number): boolean =>
  outages.some(
    ({ cluster, fromMs, toMs }) => cluster === name && fromMs <= bin * binMs && (bin + 1) * binMs <= toMs,
  );
