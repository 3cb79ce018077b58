import {
  advisoryConsumer,
  type BucketDefinition,
  buckets,
  consumersFor,
  type StreamDefinition,
  streams,
  volatileStreams,
} from '@drover/schemas';
import { headers, type MsgHdrs } from 'nats';
import type { VirtualClock } from '../clock.ts';
import type { Link } from '../link.ts';
import type { SimProcess } from '../process.ts';
import type { Random } from '../random.ts';
import { ConsumerModel } from './consumer.ts';
import { type Publication, type StoreAnswer, type Stored, StreamModel } from './stream.ts';
import { matches } from './subject.ts';

export type CoreMessage = {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: MsgHdrs | undefined;
};

export type Subscriber = {
  readonly link: Link;
  readonly pattern: string;
  receive(message: CoreMessage): void;
};

export type HubOptions = {
  readonly clusters: readonly string[];
  /** Streams that store whatever is expected of them: neither compare-and-set nor message ids. */
  readonly withoutGuards: readonly string[];
  /** Streams that acknowledge and store nothing. */
  readonly forgetful: readonly string[];
  /** Direct reads may be answered by a replica that is so far behind, in ms. */
  readonly replicaLagMs: number;
  readonly onStored: (stream: StreamModel, message: Stored) => void;
  /** The life of a message is over. */
  readonly onExpired: (stream: StreamModel, message: Stored) => void;
  /** Somebody has deleted a message by its sequence. */
  readonly onDeleted: (stream: StreamModel, message: Stored, by: SimProcess) => void;
};

/** A bucket is a stream with a subject per key. */
const bucketStream = ({ name, description, history }: BucketDefinition): StreamDefinition => ({
  name: `KV_${name}`,
  subjects: [`$KV.${name}.>`],
  description,
  retention: 'limits',
  storage: 'file',
  discard: 'new',
  maxMsgsPerSubject: history,
  allowMessageTtl: true,
  allowDirect: true,
});

/** Buckets that production code reads and writes as streams; the others are only watched, which is not modelled. */
const modelledBuckets: readonly BucketDefinition[] = [buckets.leases, buckets.profiles];

const leaseStream = `KV_${buckets.leases.name}`;

/**
 * The nats-server: core publish and subscribe, and JetStream. A publish reaches core subscribers at once, whatever a stream
 * makes of it; every stream stores in the order of arrival, a moment later. While a stream is away (a leader election),
 * plain publishes to it are lost and requests are not answered.
 */
export class Hub {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly streams = new Map<string, StreamModel>();
  readonly consumers = new Map<string, ConsumerModel>();
  readonly #options: HubOptions;
  readonly #subscribers = new Set<Subscriber>();
  readonly #busyUntilMs = new Map<string, number>();
  readonly #awayUntilMs = new Map<string, number>();
  /** Followers of a stream's end: pulls of short-lived consumers. */
  readonly #followers = new Map<string, Set<() => void>>();

  constructor(clock: VirtualClock, random: Random, options: HubOptions) {
    this.clock = clock;
    this.random = random;
    this.#options = options;
    for (const definition of Object.values(streams)) this.addStream(definition);
    for (const bucket of modelledBuckets) this.addStream(bucketStream(bucket));
    for (const definition of consumersFor(options.clusters)) {
      const stream = this.streams.get(definition.stream);
      if (!stream) throw new Error(`no stream ${definition.stream}`);
      const model = new ConsumerModel(
        definition,
        stream,
        clock,
        () => this.isAway(stream.name),
        (seq, deliveries) => this.#advise(definition.stream, definition.name, seq, deliveries),
      );
      this.consumers.set(`${definition.stream}.${definition.name}`, model);
    }
  }

  addStream(definition: StreamDefinition): void {
    if (this.streams.has(definition.name)) return;
    const { withoutGuards, forgetful } = this.#options;
    const weakness = {
      ignoresExpectations: withoutGuards.includes(definition.name),
      storesNothing: forgetful.includes(definition.name),
    };
    this.streams.set(definition.name, new StreamModel(definition, weakness));
  }

  subscribe(subscriber: Subscriber): void {
    this.#subscribers.add(subscriber);
  }

  unsubscribe(subscriber: Subscriber): void {
    this.#subscribers.delete(subscriber);
  }

  /** A connection is gone: with it its subscriptions and pulls. */
  forget(link: Link): void {
    for (const subscriber of this.#subscribers) if (subscriber.link === link) this.unsubscribe(subscriber);
    for (const consumer of this.consumers.values()) consumer.forget(link);
  }

  /** @param answer called when the one stream that captures the subject has stored the message, or refused it */
  publish(publication: Publication, answer?: (given: StoreAnswer) => void): void {
    const { subject, data, headers } = publication;
    for (const subscriber of this.#subscribers) {
      if (!matches(subscriber.pattern, subject)) continue;
      subscriber.link.toProcess(() => subscriber.receive({ subject, data, headers }));
    }
    for (const stream of this.streams.values()) {
      if (stream.captures(subject)) this.#ingest(stream, publication, answer);
    }
  }

  isAway(stream: string): boolean {
    return this.clock.nowMs < (this.#awayUntilMs.get(stream) ?? 0);
  }

  /** Streams do nothing for so long, as between two leaders. */
  elect(names: Iterable<string>, forMs: number): void {
    for (const name of names) this.#awayUntilMs.set(name, this.clock.nowMs + forMs);
    this.clock.schedule(forMs, undefined, () => {
      for (const consumer of this.consumers.values()) consumer.dispatch();
    });
  }

  /** A sequence from which on a direct read sees nothing: infinity, unless a replica that lags answers. */
  horizon(stream: StreamModel): number {
    const { replicaLagMs } = this.#options;
    if (replicaLagMs === 0 || this.random.chance(0.5)) return Number.POSITIVE_INFINITY;
    const sinceMs = this.clock.nowMs - this.random.between(0, replicaLagMs);
    return stream.messages.find(({ storedMs }) => storedMs > sinceMs)?.seq ?? Number.POSITIVE_INFINITY;
  }

  deleteMessage(stream: StreamModel, seq: number, by: SimProcess): boolean {
    const message = stream.get(seq);
    if (!message) return false;
    for (const consumer of this.consumers.values())
      if (consumer.definition.stream === stream.name) consumer.settle(seq);
    stream.delete(seq);
    this.#options.onDeleted(stream, message, by);
    return true;
  }

  /** Calls `follow` whenever the stream has stored something, until the returned function is called. */
  follow(stream: string, follow: () => void): () => void {
    const followers = this.#followers.get(stream) ?? new Set();
    this.#followers.set(stream, followers.add(follow));
    return () => void followers.delete(follow);
  }

  /** A single server restarts: memory streams are gone, and so are the ids of messages that are no longer stored. */
  restart(links: Iterable<Link>): void {
    for (const link of links) link.break();
    for (const { name } of volatileStreams) this.streams.delete(name);
    for (const stream of this.streams.values()) stream.forgetIdsOfDeleted();
  }

  #ingest(
    stream: StreamModel,
    publication: Publication,
    answer: ((given: StoreAnswer) => void) | undefined,
  ): void {
    const { nowMs } = this.clock;
    if (this.isAway(stream.name)) return;
    const readyMs = Math.max(nowMs + this.random.between(0.01, 0.6), this.#busyUntilMs.get(stream.name) ?? 0);
    this.#busyUntilMs.set(stream.name, readyMs);
    this.clock.schedule(readyMs - nowMs, undefined, () => {
      if (this.streams.get(stream.name) !== stream) return;
      const given = stream.store(publication, this.clock.nowMs);
      const stored = 'seq' in given && !given.duplicate ? stream.get(given.seq) : undefined;
      if (stored) {
        this.#options.onStored(stream, stored);
        if (publication.ttlMs !== undefined) this.#expire(stream, stored, publication.ttlMs);
        this.#copy(stream, stored);
      }
      // The leader may fall right after it has stored.
      if (!this.isAway(stream.name)) answer?.(given);
      if (!stored) return;
      for (const consumer of this.consumers.values())
        if (consumer.definition.stream === stream.name) consumer.dispatch();
      for (const follow of [...(this.#followers.get(stream.name) ?? [])]) follow();
    });
  }

  /** The life of a message is over after so long, unless it is gone by then. A bucket with markers notes that. */
  #expire(stream: StreamModel, message: Stored, ttlMs: number): void {
    const { seq, subject } = message;
    this.clock.schedule(ttlMs, undefined, () => {
      if (!stream.delete(seq)) return;
      this.#options.onExpired(stream, message);
      if (stream.name !== leaseStream || stream.last(subject)) return;
      const about = headers();
      about.set('Nats-Marker-Reason', 'MaxAge');
      this.#ingest(stream, { subject, data: new Uint8Array(), headers: about, by: undefined }, undefined);
    });
  }

  /** Streams that are fed from this one get a copy, a moment later; when they are away, once they are back. */
  #copy({ name }: StreamModel, message: Stored): void {
    for (const fed of this.streams.values()) if (fed.definition.source === name) this.#feed(fed, message);
  }

  #feed(fed: StreamModel, message: Stored): void {
    const { subject, data, headers, by } = message;
    const awayMs = (this.#awayUntilMs.get(fed.name) ?? 0) - this.clock.nowMs;
    if (awayMs > 0) this.clock.schedule(awayMs, undefined, () => this.#feed(fed, message));
    else this.#ingest(fed, { subject, data, headers, by }, undefined);
  }

  #advise(stream: string, consumer: string, seq: number, deliveries: number): void {
    if (stream === advisoryConsumer.stream) return;
    this.publish({
      subject: `$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.${stream}.${consumer}`,
      data: new TextEncoder().encode(JSON.stringify({ stream, consumer, stream_seq: seq, deliveries })),
      headers: undefined,
      by: undefined,
    });
  }
}
