import type { AgentId, ClusterId, Provider, Report, RequestId } from '@drover/schemas';
import type { ClusterView, Rates } from './types.ts';

/** An agent that says nothing for this long is gone, not late. */
export const forgetAgentMs = 60_000;

type Heard = {
  readonly report: Report;
  readonly receivedAtMs: number;
  /** Since when it is known that its connection has ended; absent until then, and again with its next report. */
  readonly goneAtMs?: number;
};

/** The last report of every agent, by cluster, with the time of its receipt by the scheduler's own clock. */
export type Fleet = ReadonlyMap<ClusterId, ReadonlyMap<AgentId, Heard>>;

/** Takes a report in. One that is older than what we have from the same life of the agent is late, and ignored. */
export function withReport(fleet: Fleet, report: Report, receivedAtMs: number): Fleet {
  const agents = fleet.get(report.cluster);
  const known = agents?.get(report.agent);
  if (known && isLate(report, known.report)) return fleet;
  const heard = new Map(agents).set(report.agent, { report, receivedAtMs });
  return new Map(fleet).set(report.cluster, heard);
}

/** What was published before a connection ended may be heard this much after its end was. */
const overtakenMs = 10;

/**
 * The fleet without the slots of an agent whose connection ended at `departedAtMs`, unless it has been heard again since. What
 * it had said that it runs stays known.
 */
export function withDeparture(
  fleet: Fleet,
  cluster: ClusterId,
  agent: AgentId,
  departedAtMs: number,
  nowMs: number,
): Fleet {
  const agents = fleet.get(cluster);
  const known = agents?.get(agent);
  if (known === undefined || known.receivedAtMs > departedAtMs + overtakenMs) return fleet;
  return new Map(fleet).set(cluster, new Map(agents).set(agent, { ...known, goneAtMs: nowMs }));
}

const isLate = (report: Report, known: Report): boolean =>
  report.startedAtMs < known.startedAtMs ||
  (report.startedAtMs === known.startedAtMs && report.seq <= known.seq);

/** The fleet without agents that have been silent for a minute. */
export function withoutGone(fleet: Fleet, nowMs: number): Fleet {
  const isGone = ({ receivedAtMs }: Heard) => nowMs - receivedAtMs > forgetAgentMs;
  if (![...fleet.values()].some((agents) => [...agents.values()].some(isGone))) return fleet;
  const kept = [...fleet].map(
    ([cluster, agents]) => [cluster, new Map([...agents].filter(([, heard]) => !isGone(heard)))] as const,
  );
  return new Map(kept.filter(([, agents]) => agents.size > 0));
}

/** A cluster that nobody has reported. */
export const unheard = (cluster: ClusterId): ClusterView => ({
  cluster,
  phase: 'silent',
  slots: 0,
  nodes: 0,
});

/** All agents of a cluster as one. Only agents heard within `staleMs` count, unless they are known to be gone. */
export function viewOf(fleet: Fleet, cluster: ClusterId, nowMs: number, staleMs: number): ClusterView {
  const agents = [...(fleet.get(cluster)?.values() ?? [])];
  if (agents.length === 0) return unheard(cluster);
  const newestMs = Math.max(...agents.map(({ receivedAtMs }) => receivedAtMs));
  const fresh = agents
    .filter(({ receivedAtMs, goneAtMs }) => goneAtMs === undefined && nowMs - receivedAtMs <= staleMs)
    .map(({ report }) => report);
  const ready = fresh.filter(({ phase }) => phase === 'ready');
  // A cluster that is silent or starting keeps its model: what it cannot serve, it will not be able to serve later.
  const model = (ready.length > 0 ? ready : agents.map(({ report }) => report)).find((r) => r.model)?.model;
  const rates = combinedRates(ready);
  const boots = agents.flatMap(({ report }) => (report.bootMs === undefined ? [] : [report.bootMs]));
  return {
    cluster,
    phase: phaseOf(fresh),
    reportAgeMs: nowMs - newestMs,
    slots: slotsOf(ready),
    nodes: ready.length,
    ...(model ? { model } : {}),
    ...(rates ? { rates } : {}),
    ...(boots.length > 0 ? { bootMs: Math.max(...boots) } : {}),
    ...providerOf(ready.length > 0 ? ready : agents.map(({ report }) => report)),
  };
}

/**
 * An agent that is held back by its provider counts the slots that it uses, for those of the others to be free. Where all are held
 * back nothing may start, and a slot that is given back is none.
 */
function slotsOf(ready: readonly Report[]): number {
  if (ready.length > 0 && ready.every(({ provider }) => provider?.limit)) return 0;
  return ready.reduce((sum, { slots }) => sum + slots, 0);
}

/** Agents of one provider share its limits: what holds one back holds the cluster back when all its slots are taken. */
function providerOf(reports: readonly Report[]): { readonly provider?: Provider } {
  const told = reports.flatMap(({ provider }) => (provider ? [provider] : []));
  const [first] = told;
  if (!first) return {};
  const ttfts = told.flatMap(({ ttftMs }) => (ttftMs === undefined ? [] : [ttftMs]));
  const limit = told.find((one) => one.limit)?.limit;
  return {
    provider: {
      ...(ttfts.length > 0 ? { ttftMs: ttfts.reduce((sum, ms) => sum + ms, 0) / ttfts.length } : {}),
      ...(limit ? { limit } : {}),
    },
  };
}

function phaseOf(fresh: readonly Report[]): ClusterView['phase'] {
  const order = ['ready', 'booting', 'draining', 'down'] as const;
  return order.find((phase) => fresh.some((report) => report.phase === phase)) ?? 'silent';
}

/**
 * The jobs that agents of the cluster said they run, each with the time when that was last heard, whatever its age. Agents
 * that are gone run nothing.
 */
export function inFlightAt(fleet: Fleet, cluster: ClusterId): ReadonlyMap<RequestId, number> {
  const heard = new Map<RequestId, number>();
  for (const { report, receivedAtMs, goneAtMs } of fleet.get(cluster)?.values() ?? [])
    for (const { id } of goneAtMs === undefined ? report.inFlight : [])
      heard.set(id, Math.max(receivedAtMs, heard.get(id) ?? receivedAtMs));
  return heard;
}

/** What agents that are gone said that they ran, and when the last of them was found to be gone. */
export function leftAt(
  fleet: Fleet,
  cluster: ClusterId,
): { readonly jobs: ReadonlySet<RequestId>; readonly atMs: number } {
  const gone = [...(fleet.get(cluster)?.values() ?? [])].filter(({ goneAtMs }) => goneAtMs !== undefined);
  return {
    jobs: new Set(gone.flatMap(({ report }) => report.inFlight.map(({ id }) => id))),
    atMs: Math.max(Number.NEGATIVE_INFINITY, ...gone.map(({ goneAtMs = 0 }) => goneAtMs)),
  };
}

/** The rates of one node: averages over the agents, weighted by how many tokens each figure rests on. */
function combinedRates(ready: readonly Report[]): Rates | undefined {
  const measured = ready.flatMap(({ rates }) => (rates ? [rates] : []));
  if (measured.length === 0) return undefined;
  const byConcurrency = new Map<number, { tokens: number; weighted: number }>();
  for (const { b, tps, n } of measured.flatMap(({ decode }) => decode)) {
    const sum = byConcurrency.get(b) ?? { tokens: 0, weighted: 0 };
    byConcurrency.set(b, { tokens: sum.tokens + n, weighted: sum.weighted + tps * n });
  }
  const prefill = weightedPrefill(measured);
  return {
    ...(prefill === undefined ? {} : { prefillTps: prefill }),
    decode: [...byConcurrency]
      .map(([b, { tokens, weighted }]) => ({ b, tps: weighted / tokens, n: tokens }))
      .sort((left, right) => left.b - right.b),
  };
}

function weightedPrefill(measured: readonly Rates[]): number | undefined {
  let tokens = 0;
  let weighted = 0;
  for (const { prefillTps, decode } of measured) {
    if (prefillTps === undefined) continue;
    // Agents do not say how many prompt tokens a rate rests on; their output tokens tell who has worked more.
    const weight = 1 + decode.reduce((sum, { n }) => sum + n, 0);
    tokens += weight;
    weighted += prefillTps * weight;
  }
  return tokens === 0 ? undefined : weighted / tokens;
}
