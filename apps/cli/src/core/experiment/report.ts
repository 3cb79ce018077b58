import { differenceInterval, type Interval, intervalOf, ratioOf, type Sums } from './interval.ts';
import type { Observation, ShadowLook } from './observation.ts';

type Metric = (one: Observation) => Sums | undefined;

/** A mean of what is known. */
const mean =
  (value: (one: Observation) => number | undefined): Metric =>
  (one) => {
    const known = value(one);
    return known === undefined ? undefined : { over: known, under: 1 };
  };

/** A price of 1,000 output tokens. */
const per1k =
  (usd: (one: Observation) => number | undefined): Metric =>
  (one) => {
    const spent = usd(one);
    const tokens = one.completionTokens;
    return spent === undefined || !tokens ? undefined : { over: spent * 1_000, under: tokens };
  };

/** Predicted and actual are of the same requests: those of which both are known. */
const both = (value: 'predicted' | 'actual', of: 'Ttft' | 'Total'): Metric =>
  mean((one) => {
    const [predicted, actual] =
      of === 'Ttft' ? [one.predictedTtftMs, one.ttftMs] : [one.predictedTotalMs, one.totalMs];
    if (predicted === undefined || actual === undefined) return undefined;
    return value === 'predicted' ? predicted : actual;
  });

/** The figures of an arm, each a ratio of two sums. */
export const metrics = {
  /** Share of the ended requests that were answered before their deadline. */
  kept: mean(({ kept }) => (kept === undefined ? undefined : Number(kept))),
  /** Charged, by the ledger. */
  settledUsdPer1k: per1k(({ usd }) => usd),
  /** What the chosen clusters had really cost lately when they were chosen, weighted by the tokens they then gave. */
  realisedUsdPer1k: per1k(({ realisedUsdPer1k, completionTokens }) =>
    realisedUsdPer1k === undefined || completionTokens === undefined
      ? undefined
      : (realisedUsdPer1k * completionTokens) / 1_000,
  ),
  predictedTtftMs: both('predicted', 'Ttft'),
  ttftMs: both('actual', 'Ttft'),
  predictedTotalMs: both('predicted', 'Total'),
  totalMs: both('actual', 'Total'),
} as const satisfies Record<string, Metric>;
export type MetricName = keyof typeof metrics;
const metricNames: readonly MetricName[] = [
  'kept',
  'settledUsdPer1k',
  'realisedUsdPer1k',
  'predictedTtftMs',
  'ttftMs',
  'predictedTotalMs',
  'totalMs',
];

export type Figure = { readonly value: number; readonly interval?: Interval };
export type Figures = Partial<Record<MetricName, Figure>>;

export type Group = {
  /** A policy, or a model. */
  readonly name: string;
  readonly requests: number;
  readonly done: number;
  readonly outputTokens: number;
  readonly usd: number;
  /** Windows, or users: what the intervals rest on. */
  readonly clusters: number;
  readonly figures: Figures;
  /** How far it is above the first group. */
  readonly difference: Figures;
};

export type Comparison = {
  readonly kind: 'switchback' | 'variants';
  /** The experiment, or the name on offer. */
  readonly name: string;
  readonly groups: readonly Group[];
  /** Requests that were decided in a burn-in and are in no group. */
  readonly burnIn: number;
  /** Policies that lately were late clearly more often than another: a reason to stop. */
  readonly tooLate: readonly string[];
};

export type ShadowReport = {
  readonly experiment: string;
  readonly policy: string;
  readonly decisions: number;
  readonly agreed: number;
  readonly errors: number;
  /** By the estimates of the policy in force, of decisions where both chose a cluster. */
  readonly usd: number;
  readonly usdMore: number;
  readonly ttftMoreMs?: number;
  readonly moves: readonly { readonly real: string; readonly would: string; readonly decisions: number }[];
};

export type ExperimentReport = {
  readonly comparisons: readonly Comparison[];
  readonly shadows: readonly ShadowReport[];
};

/** Pure. Everything that recorded requests say about what was tried. The order of what is given does not matter. */
export function reportOf(
  observations: readonly Observation[],
  looks: readonly ShadowLook[],
): ExperimentReport {
  const inTurns = observations.filter(({ turn }) => turn);
  const inArms = observations.filter(({ arm }) => arm);
  return {
    comparisons: [
      ...[...grouped(inTurns, ({ turn }) => turn?.experiment)].map(([name, all]) => switchback(name, all)),
      ...[...grouped(inArms, ({ arm }) => arm?.variant)].map(([name, all]) => ({
        kind: 'variants' as const,
        name,
        groups: compared(
          all,
          ({ arm }) => arm?.model,
          ({ arm }) => arm?.unit,
        ),
        burnIn: 0,
        tooLate: [],
      })),
    ],
    shadows: [...grouped(looks, ({ note }) => `${note.experiment} ${note.policy}`).values()].map(shadowOf),
  };
}

function switchback(name: string, all: readonly Observation[]): Comparison {
  const counted = all.filter(({ turn }) => !turn?.burnIn);
  const groups = compared(
    counted,
    ({ turn }) => turn?.policy,
    ({ turn }) => turn && String(turn.windowStartsAtMs),
  );
  const burnIn = all.length - counted.length;
  return { kind: 'switchback', name, groups, burnIn, tooLate: tooLate(counted) };
}

/** So many of the last windows of each policy are looked at … */
const latelyWindows = 3;
/** … and this much less in time is too much. */
const lateMax = 0.02;

function tooLate(counted: readonly Observation[]): string[] {
  const lately = [...grouped(counted, ({ turn }) => turn?.policy)].flatMap(([policy, all]) => {
    const windows = new Set(all.map(({ turn }) => turn?.windowStartsAtMs ?? 0));
    const last = [...windows].toSorted((a, b) => b - a).slice(0, latelyWindows);
    const recent = all.filter(({ turn }) => last.includes(turn?.windowStartsAtMs ?? 0));
    const kept = ratioOf(sumsOf([recent], metrics.kept));
    // Fewer windows are a matter of luck.
    return kept === undefined || last.length < latelyWindows ? [] : [{ policy, kept }];
  });
  const best = Math.max(...lately.map(({ kept }) => kept));
  return lately.flatMap(({ policy, kept }) => (best - kept > lateMax ? [policy] : []));
}

/** The groups by name, each against the first. */
function compared(
  all: readonly Observation[],
  nameOf: (one: Observation) => string | undefined,
  clusterOf: (one: Observation) => string | undefined,
): Group[] {
  const groups = [...grouped(all, nameOf)].map(([name, members]) => ({
    name,
    members,
    clusters: [...grouped(members, clusterOf).values()],
  }));
  const [first] = groups;
  return groups.map(({ name, members, clusters }, index) => ({
    name,
    requests: members.length,
    done: members.filter(({ done }) => done).length,
    outputTokens: total(members, ({ completionTokens }) => completionTokens),
    usd: total(members, ({ usd }) => usd),
    clusters: clusters.length,
    figures: figuresOf((metric) => {
      const sums = sumsOf(clusters, metric);
      return withInterval(ratioOf(sums), intervalOf(sums));
    }),
    difference:
      index === 0 || !first
        ? {}
        : figuresOf((metric) => {
            const [a, b] = [sumsOf(first.clusters, metric), sumsOf(clusters, metric)];
            const [ofA, ofB] = [ratioOf(a), ratioOf(b)];
            if (ofA === undefined || ofB === undefined) return undefined;
            return withInterval(ofB - ofA, differenceInterval(a, b));
          }),
  }));
}

function figuresOf(figure: (metric: Metric) => Figure | undefined): Figures {
  const figures: Figures = {};
  for (const name of metricNames) {
    const value = figure(metrics[name]);
    if (value) figures[name] = value;
  }
  return figures;
}

const withInterval = (value: number | undefined, interval: Interval | undefined): Figure | undefined =>
  value === undefined ? undefined : { value, ...(interval ? { interval } : {}) };

/** What each cluster adds to the two sums of a metric. */
const sumsOf = (clusters: readonly (readonly Observation[])[], metric: Metric): Sums[] =>
  clusters.map((members) => {
    let over = 0;
    let under = 0;
    for (const member of members) {
      const sums = metric(member);
      over += sums?.over ?? 0;
      under += sums?.under ?? 0;
    }
    return { over, under };
  });

function shadowOf(looks: readonly ShadowLook[]): ShadowReport {
  const [first] = looks;
  const asked = looks.filter(({ note }) => note.kind !== 'error');
  const priced = asked.filter(({ usdMore }) => usdMore !== undefined);
  const timed = asked.filter(({ ttftMoreMs }) => ttftMoreMs !== undefined);
  const moves = grouped(
    asked.filter(({ real, would }) => real !== would),
    ({ real, would }) => `${real} ${would}`,
  );
  return {
    experiment: first?.note.experiment ?? '',
    policy: first?.note.policy ?? '',
    decisions: asked.length,
    agreed: asked.filter(({ real, would }) => real === would).length,
    errors: looks.length - asked.length,
    usd: total(priced, ({ usd }) => usd),
    usdMore: total(priced, ({ usdMore }) => usdMore),
    ...(timed.length > 0 ? { ttftMoreMs: total(timed, (one) => one.ttftMoreMs) / timed.length } : {}),
    moves: [...moves.values()]
      .map((all) => ({ real: all[0]?.real ?? '', would: all[0]?.would ?? '', decisions: all.length }))
      .toSorted((a, b) => b.decisions - a.decisions),
  };
}

/** By key, in the order of the keys. What has none is left out. */
function grouped<T>(items: readonly T[], keyOf: (item: T) => string | undefined): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    if (key === undefined) continue;
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return new Map([...groups].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

const total = <T>(items: readonly T[], of: (item: T) => number | undefined): number =>
  items.reduce((sum, item) => sum + (of(item) ?? 0), 0);
