import { type Arrival, tpotMaxMs } from './trace.ts';
import type { Ended, Run } from './world.ts';

/** What one run of one policy came to. Money in USD, shares in [0, 1]. */
export type Measures = {
  readonly attainment: number;
  readonly completed: number;
  readonly usd: number;
  readonly usdPer1kOutput: number;
  readonly usdPer1kTotal: number;
  /** Per 1,000 output tokens of the requests whose promise was kept. */
  readonly usdPer1kKept: number;
  readonly ttftP50Ms: number;
  readonly ttftP95Ms: number;
  readonly utilisation: number;
  readonly bootShare: number;
  /** Clusters woken from zero; nodes started. */
  readonly wakesPerHour: number;
  readonly startsPerHour: number;
  readonly switchesPer1k: number;
  readonly cachedShare: number;
  readonly fairness: number;
};

export function measuresOf(run: Run): Measures {
  const { ended, bills, boots, wakes, endMs } = run;
  const usd = sum(bills.map((bill) => bill.usd));
  const done = ended.filter(({ outcome }) => outcome === 'done');
  const output = sum(done.map(({ deliveredTokens }) => deliveredTokens));
  const keptOutput = sum(done.filter(isKept).map(({ deliveredTokens }) => deliveredTokens));
  const prompt = sum(done.map(({ arrival }) => arrival.promptTokens));
  const ttfts = done.flatMap(({ ttftMs }) => (ttftMs === undefined ? [] : [ttftMs])).sort((a, b) => a - b);
  const paidMs = sum(bills.map((bill) => bill.paidMs));
  return {
    attainment: ended.filter(isKept).length / Math.max(1, ended.length),
    completed: done.length / Math.max(1, ended.length),
    usd,
    usdPer1kOutput: (usd / Math.max(1, output)) * 1_000,
    usdPer1kTotal: (usd / Math.max(1, output + prompt)) * 1_000,
    usdPer1kKept: (usd / Math.max(1, keptOutput)) * 1_000,
    ttftP50Ms: quantile(ttfts, 0.5),
    ttftP95Ms: quantile(ttfts, 0.95),
    utilisation: sum(bills.map((bill) => bill.busyMs)) / Math.max(1, paidMs),
    bootShare: sum(bills.map((bill) => bill.bootMs)) / Math.max(1, paidMs),
    wakesPerHour: wakes / (endMs / 3_600_000),
    startsPerHour: boots / (endMs / 3_600_000),
    switchesPer1k: switchesPer1k(done),
    cachedShare: sum(done.map(({ cachedTokens }) => cachedTokens)) / Math.max(1, prompt),
    fairness: jain(keptByTenant(ended)),
  };
}

/** The promise was kept: all of the answer by the deadline, its first token and its pace as promised. */
export function isKept({ outcome, ttftMs, tpotMs, arrival }: Ended): boolean {
  return (
    outcome === 'done' &&
    ttftMs !== undefined &&
    ttftMs <= arrival.ttftMaxMs &&
    (tpotMs === undefined || tpotMs <= tpotMaxMs)
  );
}

export const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;

/** How often neighbours in time went to different clusters, in the order of arrival. */
function switchesPer1k(done: readonly Ended[]): number {
  const inOrder = done.toSorted((a, b) => a.arrival.atMs - b.arrival.atMs);
  const switches = inOrder.filter((one, index) => index > 0 && one.cluster !== inOrder[index - 1]?.cluster);
  return (switches.length / Math.max(1, done.length)) * 1_000;
}

function keptByTenant(ended: readonly Ended[]): number[] {
  const shares = new Map<Arrival['tenant'], { kept: number; all: number }>();
  for (const one of ended) {
    const share = shares.get(one.arrival.tenant) ?? { kept: 0, all: 0 };
    shares.set(one.arrival.tenant, { kept: share.kept + (isKept(one) ? 1 : 0), all: share.all + 1 });
  }
  return [...shares.values()].map(({ kept, all }) => kept / all);
}

/** Jain's index: 1 when all are equal, 1/n when one has everything. */
const jain = (values: readonly number[]): number =>
  values.length === 0
    ? 1
    : sum(values) ** 2 / (values.length * Math.max(1e-12, sum(values.map((x) => x * x))));
