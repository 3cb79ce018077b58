import type { Report } from '@drover/schemas';

/** The last report of each agent, by `<cluster>.<agent>`, with the time it came by our own clock. */
export type Sightings = Map<string, { readonly report: Report; readonly receivedAtMs: number }>;

export function see(sightings: Sightings, report: Report, receivedAtMs: number): void {
  sightings.set(`${report.cluster}.${report.agent}`, { report, receivedAtMs });
}

/** Clusters with an agent that takes work, by a report that is no older than `staleMs`. Forgets older reports. */
export function readyClusters(sightings: Sightings, nowMs: number, staleMs: number): string[] {
  const ready = new Set<string>();
  for (const [agent, { report, receivedAtMs }] of sightings) {
    if (nowMs - receivedAtMs > staleMs) sightings.delete(agent);
    else if (report.phase === 'ready') ready.add(report.cluster);
  }
  return [...ready].sort();
}

export type ClusterStatus = {
  readonly cluster: string;
  readonly ready: boolean;
  readonly models: readonly string[];
  /** Of the agents that were heard lately. */
  readonly agents: number;
  readonly slots: number;
  readonly busy: number;
  /** Since the last report of any of them. */
  readonly heardMsAgo: number;
};

/** What the agents have said of their clusters, by name; who was not heard for `staleMs` is not there. Changes nothing. */
export function clusterStatuses(sightings: Sightings, nowMs: number, staleMs: number): ClusterStatus[] {
  const heard = [...sightings.values()].filter(({ receivedAtMs }) => nowMs - receivedAtMs <= staleMs);
  return [...Map.groupBy(heard, ({ report }) => report.cluster)]
    .map(([cluster, agents]): ClusterStatus => {
      const ready = agents.map(({ report }) => report).filter(({ phase }) => phase === 'ready');
      return {
        cluster,
        ready: ready.length > 0,
        models: [...new Set(ready.flatMap(({ model }) => (model ? [model.name] : [])))].sort(),
        agents: agents.length,
        slots: sum(ready.map(({ slots }) => slots)),
        busy: sum(agents.map(({ report }) => report.inFlight.length)),
        heardMsAgo: Math.round(nowMs - Math.max(...agents.map(({ receivedAtMs }) => receivedAtMs))),
      };
    })
    .sort((one, other) => (one.cluster < other.cluster ? -1 : 1));
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

export type Readiness = {
  readonly ready: boolean;
  readonly clusters: readonly string[];
  readonly missing: readonly string[];
};

/**
 * Ready means: a request that comes now can be accepted, and some cluster could serve it; one at zero could, where the
 * policy wakes clusters.
 */
export function readiness(state: {
  readonly connected: boolean;
  readonly catalogue: boolean;
  readonly draining: boolean;
  readonly scaling: boolean;
  readonly clusters: readonly string[];
}): Readiness {
  const missing = [
    ...(state.connected ? [] : ['a connection to NATS']),
    ...(state.catalogue ? [] : ['the model catalogue']),
    ...(state.clusters.length > 0 || state.scaling ? [] : ['a cluster that is ready']),
    ...(state.draining ? ['staying: this process is stopping'] : []),
  ];
  return { ready: missing.length === 0, clusters: state.clusters, missing };
}
