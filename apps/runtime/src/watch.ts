import { setTimeout as sleep } from 'node:timers/promises';
import { parseMessage } from '@drover/schemas';
import {
  AckPolicy,
  type Consumer,
  type ConsumerMessages,
  DeliverPolicy,
  type JsMsg,
} from '@nats-io/jetstream';
import { type MsgHdrs, nanos, nuid } from 'nats';
import type { z } from 'zod';
import type { Logger } from './log.ts';
import type { Nats } from './nats.ts';

export type WatchOptions<T> = {
  readonly bucket: string;
  /** A key, or a pattern of keys. */
  readonly key: string;
  readonly schema: z.ZodType<T>;
  readonly onValue: (key: string, value: T, revision: number) => void;
  readonly onDelete?: (key: string) => void;
  readonly log: Logger;
};

/**
 * Follows a key (or a pattern of keys) of a bucket: `onValue` gets each valid value, first the present ones, and each once.
 * A value that does not parse is logged and refused; the last good one stays in force. It goes on for ever, whatever becomes
 * of the server, until `stop`.
 * Resolves once the present values have been delivered; rejects when the bucket cannot be read at first.
 */
export async function watchBucket<T>(nats: Nats, options: WatchOptions<T>): Promise<{ stop(): void }> {
  const watch = new Watch(nats, options);
  await watch.start();
  return watch;
}

/**
 * What keeps a consumer alive is an open pull. Without one, as when its process was killed, the server drops it after this
 * time: a watcher that is pushed to would stay for minutes, and hundreds of them keep a server busy.
 */
const inactiveMs = 10_000;
/** One pull; a server that is silent for two heartbeats is taken for gone. */
const pull = { max_messages: 256, expires: 30_000, idle_heartbeat: 5_000 };
const retryMs = 250;
const retryMaxMs = 2_000;

class Watch<T> {
  readonly #nats: Nats;
  readonly #options: WatchOptions<T>;
  readonly #present = Promise.withResolvers<void>();
  /** The revision of each key that is there, as heard. A consumer that is made anew begins with all of them. */
  readonly #heard = new Map<string, number>();
  #messages: ConsumerMessages | undefined;
  #stopped = false;
  /** A new consumer is due: the server that had the old one may have forgotten it. */
  #renew = false;
  readonly #startAnew = () => {
    this.#renew = true;
    this.#messages?.stop();
  };

  constructor(nats: Nats, options: WatchOptions<T>) {
    this.#nats = nats;
    this.#options = options;
  }

  async start(): Promise<void> {
    const first = await this.#begin();
    this.#nats.onReconnect(this.#startAnew);
    void this.#follow(first);
    await this.#present.promise;
  }

  stop(): void {
    this.#stopped = true;
    this.#nats.offReconnect(this.#startAnew);
    this.#messages?.stop();
  }

  async #follow(first: Reading): Promise<void> {
    let reading: Reading | undefined = first;
    let retry = retryMs;
    while (!this.#stopped) {
      try {
        reading ??= await this.#begin();
        await this.#read(reading);
        retry = retryMs;
      } catch (error) {
        const { bucket, key, log } = this.#options;
        if (this.#stopped || this.#nats.nc.isClosed()) return;
        log.warn({ bucket, key, error: String(error) }, 'bucket not followed, will be tried again');
        reading = undefined;
        await sleep(retry, undefined, { ref: false });
        retry = Math.min(2 * retry, retryMaxMs);
      }
      if (this.#renew) reading = undefined;
    }
  }

  async #begin(): Promise<Reading> {
    this.#renew = false;
    const { bucket, key } = this.#options;
    const info = await this.#nats.jsm.consumers.add(`KV_${bucket}`, {
      name: nuid.next(),
      filter_subject: `$KV.${bucket}.${key}`,
      deliver_policy: DeliverPolicy.LastPerSubject,
      ack_policy: AckPolicy.None,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: nanos(inactiveMs),
    });
    const reading = {
      consumer: this.#nats.js.consumers.getConsumerFromInfo(info),
      present: new Set<string>(),
    };
    if (info.num_pending === 0) this.#caughtUp(reading);
    return reading;
  }

  /** One pull. Resolves when it has run out. @throws when the consumer or the server is gone */
  async #read(reading: Reading): Promise<void> {
    this.#messages = await reading.consumer.fetch(pull);
    void this.#watchOver(this.#messages);
    for await (const message of this.#messages) {
      if (this.#stopped) return;
      this.#take(reading, message);
      // Marks of deleted keys are delivered among the present values; only the server knows which is the last.
      if (message.info.pending === 0) this.#caughtUp(reading);
    }
  }

  /** The library would look for the consumer again and again; a new one is had sooner. */
  async #watchOver(messages: ConsumerMessages): Promise<void> {
    for await (const { type } of messages.status()) if (type === 'heartbeats_missed') this.#startAnew();
  }

  #take({ present }: Reading, { subject, seq, headers, data }: JsMsg): void {
    const { bucket, schema, onValue, log } = this.#options;
    const key = subject.slice(`$KV.${bucket}.`.length);
    if (isDeletion(headers)) {
      present.delete(key);
      this.#forget(key);
      return;
    }
    present.add(key);
    if (this.#heard.get(key) === seq) return;
    this.#heard.set(key, seq);
    if (isCopy(headers)) {
      log.error({ bucket, key }, 'value refused: not written, but sent here by the server as an answer');
      return;
    }
    const parsed = parseMessage(schema, data);
    if (parsed.ok) onValue(key, parsed.value, seq);
    else log.error({ bucket, key, problem: parsed.problem }, 'bad value refused');
  }

  /** Everything that is there was heard. What was there before, and is not now, was deleted while nobody listened. */
  #caughtUp({ present }: Reading): void {
    for (const key of [...this.#heard.keys()]) if (!present.has(key)) this.#forget(key);
    this.#present.resolve();
  }

  #forget(key: string): void {
    if (this.#heard.delete(key)) this.#options.onDelete?.(key);
  }
}

/** A consumer, and the keys that it has delivered and that are still there. */
type Reading = { readonly consumer: Consumer; readonly present: Set<string> };

/**
 * Whoever may get a message directly can have the server send it, as the answer, to a subject that he may not write. The server
 * says in a header where it has it from; nobody who writes a value does.
 */
const isCopy = (headers: MsgHdrs | undefined): boolean => headers?.has('Nats-Stream') === true;

/** True for the mark that a deleted key leaves, and for the one that the server makes of a key whose life is over. */
const isDeletion = (headers: MsgHdrs | undefined): boolean =>
  headers !== undefined && (headers.get('KV-Operation') !== '' || headers.get('Nats-Marker-Reason') !== '');
