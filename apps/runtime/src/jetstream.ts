import type { BucketDefinition, ConsumerDefinition, StreamDefinition } from '@drover/schemas';
import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import { nanos } from 'nats';

/** JetStream's error codes that Drover acts on. */
export const apiErrors = {
  wrongLastSequence: 10_071,
  streamNotFound: 10_059,
  streamNameInUse: 10_058,
  consumerNotFound: 10_014,
  maximumMessages: 10_077,
} as const;

/** True when JetStream itself refused with this code. */
export const isApiError = (error: unknown, code: number): boolean =>
  error instanceof JetStreamApiError && error.code === code;

/** Creates the stream, or brings an existing one to its definition. */
export async function ensureStream(
  jsm: JetStreamManager,
  stream: StreamDefinition,
  replicas: number,
): Promise<void> {
  const config = streamConfig(stream, replicas);
  try {
    await jsm.streams.add(config);
  } catch (error) {
    if (!isApiError(error, apiErrors.streamNameInUse)) throw error;
    await jsm.streams.update(stream.name, config);
  }
}

/** A stream as JetStream's configuration has it. */
export const streamConfig = (stream: StreamDefinition, replicas: number) => ({
  name: stream.name,
  description: stream.description,
  ...(stream.source === undefined
    ? { subjects: [...stream.subjects] }
    : { sources: [{ name: stream.source }] }),
  retention: stream.retention === 'workqueue' ? RetentionPolicy.Workqueue : RetentionPolicy.Limits,
  // One server would lose what it holds in memory with its restart; of three, two keep it.
  storage: stream.storage === 'file' || replicas === 1 ? StorageType.File : StorageType.Memory,
  discard: stream.discard === 'new' ? DiscardPolicy.New : DiscardPolicy.Old,
  num_replicas: replicas,
  allow_direct: stream.allowDirect,
  ...(stream.allowMessageTtl ? { allow_msg_ttl: true } : {}),
  ...(stream.maxAgeMs === undefined ? {} : { max_age: nanos(stream.maxAgeMs) }),
  ...(stream.maxMsgs === undefined ? {} : { max_msgs: stream.maxMsgs }),
  ...(stream.maxBytes === undefined ? {} : { max_bytes: stream.maxBytes }),
  ...(stream.maxMsgsPerSubject === undefined ? {} : { max_msgs_per_subject: stream.maxMsgsPerSubject }),
  ...(stream.discardNewPerSubject === undefined
    ? {}
    : { discard_new_per_subject: stream.discardNewPerSubject }),
  ...(stream.maxMsgSizeBytes === undefined ? {} : { max_msg_size: stream.maxMsgSizeBytes }),
  // An update keeps what it does not name, and a window longer than the stream keeps its messages is refused.
  duplicate_window: nanos(
    Math.min(stream.duplicateWindowMs ?? duplicateWindowMs, stream.maxAgeMs ?? Number.MAX_SAFE_INTEGER),
  ),
  ...(stream.metadata === undefined ? {} : { metadata: { ...stream.metadata } }),
});

/** JetStream's own. */
const duplicateWindowMs = 120_000;

/** Creates the durable consumer, or brings an existing one to its definition. */
export async function ensureConsumer(jsm: JetStreamManager, consumer: ConsumerDefinition): Promise<void> {
  const config = {
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ...filtersOf(consumer),
    ack_wait: nanos(consumer.ackWaitMs),
    max_deliver: consumer.maxDeliver,
    max_ack_pending: consumer.maxAckPending,
  };
  try {
    await jsm.consumers.info(consumer.stream, consumer.name);
    await jsm.consumers.update(consumer.stream, consumer.name, config);
  } catch (error) {
    if (!isApiError(error, apiErrors.consumerNotFound)) throw error;
    await jsm.consumers.add(consumer.stream, {
      ...config,
      durable_name: consumer.name,
      max_waiting: consumer.maxWaiting,
    });
  }
}

/** An update has to take away the other form, which an earlier definition may have used. */
const filtersOf = ({ filter, alsoFilter }: ConsumerDefinition) =>
  alsoFilter === undefined
    ? { filter_subject: filter }
    : { filter_subject: '', filter_subjects: [filter, alsoFilter] };

/** Creates the bucket unless it exists. */
export const ensureBucket = (js: JetStreamClient, bucket: BucketDefinition, replicas: number): Promise<KV> =>
  new Kvm(js).create(bucket.name, {
    description: bucket.description,
    history: bucket.history,
    replicas,
    ...(bucket.markerTtlMs === undefined ? {} : { markerTTL: bucket.markerTtlMs }),
  });
