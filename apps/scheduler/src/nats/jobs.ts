import type { Nats } from '@drover/runtime';
import {
  type ClusterId,
  clusterId,
  clusterOf,
  type Job,
  job,
  natsHeaders,
  parseMessage,
  type RequestId,
  requestId,
  requestIdOf,
  streams,
  subjects,
} from '@drover/schemas';
import { JetStreamApiError } from '@nats-io/jetstream';
import type { Listing } from '../core/ledger.ts';

export type StoredJob = {
  readonly job: Job;
  readonly seq: number;
  /** When the stream stored it, by the hub's clock. */
  readonly storedAtMs: number;
  readonly traceparent?: string;
};

/** The clusters of every request that has a job: LLM_JOBS is the list of unsettled assignments. */
export async function listJobs(nats: Nats): Promise<Listing> {
  const info = await nats.jsm.streams.info(streams.jobs.name, { subjects_filter: subjects.job('*', '*') });
  const listing = new Map<RequestId, ClusterId[]>();
  for (const subject of Object.keys(info.state.subjects ?? {})) {
    const id = requestId.safeParse(requestIdOf(subject));
    const cluster = clusterId.safeParse(clusterOf(subject));
    if (!id.success || !cluster.success) continue;
    listing.set(id.data, [...(listing.get(id.data) ?? []), cluster.data]);
  }
  return listing;
}

/** The newest job of a request, at one cluster or at any; undefined when there is none that parses. */
export async function readJob(
  nats: Nats,
  id: RequestId,
  cluster: ClusterId | '*' = '*',
): Promise<StoredJob | undefined> {
  const message = await nats.jsm.direct.getMessage(streams.jobs.name, {
    last_by_subj: subjects.job(cluster, id),
  });
  if (!message) return undefined;
  const parsed = parseMessage(job, message.data);
  if (!parsed.ok) return undefined;
  const traceparent = message.header.get(natsHeaders.traceparent);
  return {
    job: parsed.value,
    seq: message.seq,
    storedAtMs: message.time.getTime(),
    ...(traceparent === '' ? {} : { traceparent }),
  };
}

/** Deletes a message of a work queue by sequence. One that is gone already is fine. */
export async function deleteMessage(nats: Nats, stream: string, seq: number): Promise<void> {
  try {
    await nats.jsm.streams.deleteMessage(stream, seq, false);
  } catch (error) {
    if (!(error instanceof JetStreamApiError)) throw error;
  }
}
