import { apiErrors, isApiError, type Nats, streamConfig } from '@drover/runtime';
import {
  buckets,
  type ConsumerDefinition,
  consumersFor,
  parseMessage,
  type Report,
  report,
  streams,
  subjects,
  type Tariff,
  tariff,
} from '@drover/schemas';
import { nanos } from 'nats';
import { agents, clocks, deadLetters, definitions, type Finding, prices } from '../core/doctor.ts';
import { lastOfEach, readKeys } from './keys.ts';
import { readOverview } from './overview.ts';

type Found = Record<string, unknown> | undefined;
/** Needed for messages with a life of their own and for writes in batches. */
const serverLeast = [2, 12] as const;

/** Looks at a system as its operator may, and changes nothing. @throws when JetStream does not answer at all */
export async function examine(nats: Nats): Promise<Finding[]> {
  const overview = await readOverview(nats);
  const [tariffs, reports] = await Promise.all([
    readKeys(nats, buckets.prices.name, '*', tariff),
    readReports(nats),
  ]);
  const names = overview.clusters.map(({ cluster }) => cluster);
  const tariffOf = new Map(tariffs.map(({ key, value }): [string, Tariff] => [key, value]));
  return [
    await server(nats),
    await rights(nats),
    ...(await streamsAndBuckets(nats)),
    await consumers(nats, names),
    clocks(await clockOffsetMs(nats), reports),
    prices(names, tariffOf, Date.now()),
    agents(overview.clusters),
    overview.policy === null
      ? { check: 'policy', result: 'warning', text: 'none is set: the built-in one is in force' }
      : {
          check: 'policy',
          result: 'ok',
          text: `${overview.policy.strategy}, revision ${overview.policy.revision}`,
        },
    deadLetters(overview.deadLetters),
  ];
}

async function server(nats: Nats): Promise<Finding> {
  const version = nats.nc.info?.version ?? '';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const ok = major > serverLeast[0] || (major === serverLeast[0] && minor >= serverLeast[1]);
  const rttMs = await nats.nc.rtt();
  return {
    check: 'nats',
    result: ok ? 'ok' : 'failed',
    text: `nats-server ${version}, ${rttMs} ms away${ok ? '' : `; ${serverLeast.join('.')} is needed`}`,
  };
}

/** An operator's key is worth no more than an operator; one that may ask about the account may do anything. */
async function rights(nats: Nats): Promise<Finding> {
  const check = 'rights';
  try {
    await nats.jsm.getAccountInfo();
  } catch {
    return { check, result: 'ok', text: "this key has an operator's rights" };
  }
  return { check, result: 'warning', text: 'this key may do more than an operator: use its own' };
}

async function streamsAndBuckets(nats: Nats): Promise<Finding[]> {
  const wanted = new Map<string, Record<string, unknown>>();
  const found = new Map<string, Found>();
  for (const stream of Object.values(streams)) {
    const config = await configOf(nats, stream.name);
    found.set(stream.name, config);
    // How many copies is the deployment's choice, and what lives in memory depends on it.
    const replicas = typeof config?.num_replicas === 'number' ? config.num_replicas : 1;
    const definition = Object.entries(streamConfig(stream, replicas)).filter(([key]) => !chosen.has(key));
    wanted.set(stream.name, Object.fromEntries(definition));
  }
  const wantedBuckets = new Map<string, Record<string, unknown>>();
  const foundBuckets = new Map<string, Found>();
  for (const bucket of Object.values(buckets)) {
    wantedBuckets.set(bucket.name, { max_msgs_per_subject: bucket.history });
    foundBuckets.set(bucket.name, await configOf(nats, `KV_${bucket.name}`));
  }
  return [definitions('streams', wanted, found), definitions('buckets', wantedBuckets, foundBuckets)];
}

/** The deployment's choice: how long and how much a stream keeps, and what follows from it. */
const chosen = new Set(['max_age', 'max_bytes', 'duplicate_window', 'metadata']);

async function configOf(nats: Nats, stream: string): Promise<Found> {
  try {
    return { ...(await nats.jsm.streams.info(stream)).config };
  } catch (error) {
    if (isApiError(error, apiErrors.streamNotFound)) return undefined;
    throw error;
  }
}

async function consumers(nats: Nats, clusters: readonly string[]): Promise<Finding> {
  const wanted = new Map<string, Record<string, unknown>>();
  const found = new Map<string, Found>();
  for (const consumer of consumersFor(clusters)) {
    const name = `${consumer.stream}/${consumer.name}`;
    wanted.set(name, asConfig(consumer));
    found.set(name, await consumerConfigOf(nats, consumer));
  }
  return definitions('consumers', wanted, found);
}

const asConfig = (consumer: ConsumerDefinition): Record<string, unknown> => ({
  ...(consumer.alsoFilter === undefined
    ? { filter_subject: consumer.filter }
    : { filter_subjects: [consumer.filter, consumer.alsoFilter] }),
  ack_wait: nanos(consumer.ackWaitMs),
  max_deliver: consumer.maxDeliver,
  max_ack_pending: consumer.maxAckPending,
});

async function consumerConfigOf(nats: Nats, { stream, name }: ConsumerDefinition): Promise<Found> {
  try {
    return { ...(await nats.jsm.consumers.info(stream, name)).config };
  } catch (error) {
    if (isApiError(error, apiErrors.consumerNotFound) || isApiError(error, apiErrors.streamNotFound))
      return undefined;
    throw error;
  }
}

/** This machine's clock minus the hub's, in ms, half the way there and back taken off; undefined when the hub does not tell. */
async function clockOffsetMs(nats: Nats): Promise<number | undefined> {
  const askedMs = Date.now();
  const { ts } = await nats.jsm.streams.info(streams.deadLetters.name);
  if (ts === undefined) return undefined;
  return (askedMs + Date.now()) / 2 - Date.parse(ts);
}

async function readReports(nats: Nats): Promise<{ report: Report; storedAtMs: number }[]> {
  const messages = await lastOfEach(nats, streams.reports.name, subjects.report('*', '*'));
  return messages.flatMap(({ data, time }) => {
    const parsed = parseMessage(report, data);
    return parsed.ok ? [{ report: parsed.value, storedAtMs: time.getTime() }] : [];
  });
}
