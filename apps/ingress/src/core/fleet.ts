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
