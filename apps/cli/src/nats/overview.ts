import type { Nats } from '@drover/runtime';
import {
  buckets,
  clusterOf,
  cordon,
  type Priority,
  parseMessage,
  policy,
  policyKeys,
  priorities,
  report,
  requestConsumer,
  streams,
  subjects,
  tariff,
} from '@drover/schemas';
import { type AgedReport, type ClusterFacts, clusterStatus } from '../core/fleet.ts';
import type { Overview } from '../core/overview.ts';
import { backlogOf, wantedNodesOf } from './clusters.ts';
import { lastOfEach, readKeys } from './keys.ts';

/** Reads everything once. @throws when JetStream does not answer */
export async function readOverview(nats: Nats): Promise<Overview> {
  const [reports, prices, cordons, active, queue, dead] = await Promise.all([
    readReports(nats),
    readKeys(nats, buckets.prices.name, '*', tariff),
    readKeys(nats, buckets.policy.name, policyKeys.cordon('*'), cordon),
    readKeys(nats, buckets.policy.name, policyKeys.active, policy),
    Promise.all(priorities.map((band) => readBand(nats, band))),
    nats.jsm.streams.info(streams.deadLetters.name),
  ]);
  const cordonOf = new Map(cordons.map(({ key, value }) => [key.slice(policyKeys.cordon('').length), value]));
  const tariffOf = new Map(prices.map(({ key, value }) => [key, value]));
  const names = [...new Set([...tariffOf.keys(), ...reports.keys(), ...cordonOf.keys()])].toSorted();
  const atMs = Date.now();
  const clusters = await Promise.all(
    names.map(async (cluster) =>
      clusterStatus({
        cluster,
        reports: reports.get(cluster) ?? [],
        tariff: tariffOf.get(cluster),
        cordon: cordonOf.get(cluster),
        ...(await demandOf(nats, cluster)),
        nowMs: atMs,
      }),
    ),
  );
  const [inForce] = active;
  return {
    atMs,
    policy: inForce ? { strategy: inForce.value.strategy, revision: inForce.revision } : null,
    clusters,
    queue,
    deadLetters: dead.state.messages,
  };
}

/** The last report of every agent of the last minute, by cluster. */
async function readReports(nats: Nats): Promise<Map<string, AgedReport[]>> {
  const byCluster = new Map<string, AgedReport[]>();
  for (const message of await lastOfEach(nats, streams.reports.name, subjects.report('*', '*'))) {
    const parsed = parseMessage(report, message.data);
    if (!parsed.ok) continue;
    const cluster = clusterOf(message.subject);
    const ageMs = Math.max(0, Date.now() - message.time.getTime());
    byCluster.set(cluster, [...(byCluster.get(cluster) ?? []), { report: parsed.value, ageMs }]);
  }
  return byCluster;
}

/** A cluster that bootstrap does not know has no consumers. */
async function demandOf(nats: Nats, cluster: string): Promise<Pick<ClusterFacts, 'backlog' | 'wantedNodes'>> {
  const [backlog, wantedNodes] = await Promise.all([backlogOf(nats, cluster), wantedNodesOf(nats, cluster)]);
  return {
    backlog: backlog ?? { running: 0, waiting: 0 },
    ...(wantedNodes === undefined ? {} : { wantedNodes }),
  };
}

async function readBand(nats: Nats, band: Priority): Promise<{ band: Priority; waiting: number }> {
  const { stream, name } = requestConsumer(band);
  const { num_pending, num_ack_pending } = await nats.jsm.consumers.info(stream, name);
  // Those that a scheduler holds while it orders them wait as well.
  return { band, waiting: num_pending + num_ack_pending };
}
