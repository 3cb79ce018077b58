import type { Nats } from '@drover/runtime';
import { parseMessage, report, subjects } from '@drover/schemas';
import { type ClusterStatus, clusterStatuses, readyClusters, type Sightings, see } from '../core/fleet.ts';

export type FleetFeed = { readyClusters(): string[]; clusters(): ClusterStatus[]; stop(): void };

/**
 * Listens to the reports of all agents. They come every second, so what was stored before we started is not needed:
 * a process that has just begun is ready a second later.
 */
export function followFleet(nats: Nats, staleMs: number): FleetFeed {
  const sightings: Sightings = new Map();
  const subscription = nats.nc.subscribe(subjects.report('*', '*'), {
    callback: (error, message) => {
      if (error) return;
      const parsed = parseMessage(report, message.data);
      if (parsed.ok) see(sightings, parsed.value, performance.now());
    },
  });
  return {
    readyClusters: () => readyClusters(sightings, performance.now(), staleMs),
    clusters: () => clusterStatuses(sightings, performance.now(), staleMs),
    stop: () => subscription.unsubscribe(),
  };
}
