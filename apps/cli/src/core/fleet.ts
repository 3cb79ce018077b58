import type { Cordon, Report, Tariff } from '@drover/schemas';

/** A report, and how old it is by the hub's clock, in ms. */
export type AgedReport = { readonly report: Report; readonly ageMs: number };

export type ClusterStatus = {
  readonly cluster: string;
  /** As its agents report; `silent` when none has lately, `at-zero` when there is none at all, or all have left. */
  readonly phase: Report['phase'] | 'silent' | 'at-zero';
  readonly cordoned?: string;
  /** An operator wants no node of it. */
  readonly paused?: true;
  /** Nodes that the scheduler wants. */
  readonly wantedNodes?: number;
  readonly readyAgents: number;
  readonly slots: number;
  readonly running: number;
  readonly waiting: number;
  readonly model?: string;
  readonly usdPerHour?: number;
  readonly market?: Tariff['market'];
  /** Where the price is from. */
  readonly priceSource?: string;
  /** How long the price has been past its time, in ms; absent while it is to be trusted. */
  readonly priceStaleMs?: number;
  /** Tokens per second of one node, at the most replies at once that were measured. */
  readonly tokensPerSecond?: number;
  /** USD per 1,000 output tokens at that rate; absent while price or rate is unknown. */
  readonly usdPer1k?: number;
  readonly reportAgeMs?: number;
};

/** A report older than this is no sign of life; as the scheduler has it by default. */
const staleMs = 3_000;

export type ClusterFacts = {
  readonly cluster: string;
  readonly reports: readonly AgedReport[];
  readonly tariff?: Tariff | undefined;
  readonly cordon?: Cordon | undefined;
  readonly backlog: { readonly running: number; readonly waiting: number };
  readonly wantedNodes?: number;
  readonly nowMs: number;
};

/** Pure. All that is known of a cluster, in one line. What is not known is absent. */
export function clusterStatus(facts: ClusterFacts): ClusterStatus {
  const { cluster, reports, tariff, cordon, backlog, wantedNodes, nowMs } = facts;
  const fresh = reports.filter(({ ageMs }) => ageMs <= staleMs).map(({ report }) => report);
  const ready = fresh.filter(({ phase }) => phase === 'ready');
  const model = reports.find(({ report }) => report.model)?.report.model?.name;
  const tokensPerSecond = rateOf(ready);
  const usdPer1k = usdPer1kOf(tariff, tokensPerSecond);
  return {
    cluster,
    phase: phaseOf(reports, fresh),
    ...(cordon === undefined ? {} : { cordoned: cordon.reason }),
    ...(cordon?.paused ? { paused: true } : {}),
    ...(wantedNodes === undefined ? {} : { wantedNodes }),
    readyAgents: ready.length,
    slots: ready.reduce((sum, { slots }) => sum + slots, 0),
    ...backlog,
    ...(model === undefined ? {} : { model }),
    ...(tariff === undefined ? {} : priceFacts(tariff, nowMs)),
    ...(tokensPerSecond === undefined ? {} : { tokensPerSecond }),
    ...(usdPer1k === undefined ? {} : { usdPer1k }),
    ...(reports.length === 0 ? {} : { reportAgeMs: Math.min(...reports.map(({ ageMs }) => ageMs)) }),
  };
}

function priceFacts({ usdPerHour, market, source, asOf, validForMs }: Tariff, nowMs: number) {
  const staleMs = validForMs === undefined ? 0 : nowMs - Date.parse(asOf) - validForMs;
  return { usdPerHour, market, priceSource: source, ...(staleMs > 0 ? { priceStaleMs: staleMs } : {}) };
}

function phaseOf(reports: readonly AgedReport[], fresh: readonly Report[]): ClusterStatus['phase'] {
  // Whose last word was that they leave have left; the others are missed.
  if (fresh.length === 0 && reports.every(({ report }) => report.phase === 'draining')) return 'at-zero';
  const order = ['ready', 'booting', 'draining', 'down'] as const;
  return order.find((phase) => fresh.some((report) => report.phase === phase)) ?? 'silent';
}

/** The mean over the ready agents of what each measured with the most replies at once. */
function rateOf(ready: readonly Report[]): number | undefined {
  const rates = ready.flatMap(({ rates }) => rates?.decode.toSorted((a, b) => b.b - a.b)[0]?.tps ?? []);
  return rates.length === 0 ? undefined : rates.reduce((sum, tps) => sum + tps, 0) / rates.length;
}

/** Node price ÷ tokens per hour × 1,000; an external provider states its price by token. */
function usdPer1kOf(tariff: Tariff | undefined, tokensPerSecond: number | undefined): number | undefined {
  if (tariff?.usdPerMillion) return tariff.usdPerMillion.output / 1_000;
  if (tariff === undefined || tokensPerSecond === undefined) return undefined;
  return ((tariff.usdPerHour * tariff.overheadFactor) / (tokensPerSecond * 3_600)) * 1_000;
}
