import type { Nats } from '@drover/runtime';
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import type { Msg, NatsConnection, Subscription } from 'nats';
import type { SimProcess } from '../process.ts';
import { DurableConsumers } from './durable-consumers.ts';
import type { Hub, Subscriber } from './hub.ts';
import { bytesOf, msgOf, partOf } from './library.ts';
import { type Answer, Line, timeoutMs } from './line.ts';
import { ShortLivedConsumers } from './short-lived-consumers.ts';
import { StreamAccess } from './stream-access.ts';

/** The `Nats` of one process: the interface that production code is written against, on the model of the hub. */
export function connect(hub: Hub, process: SimProcess): Nats {
  return new Connection(hub, process).nats;
}

class Connection {
  readonly nats: Nats;
  readonly #line: Line;
  readonly #subscribers = new Set<Subscriber>();
  readonly #onReconnect = new Set<() => void>();
  #connected = true;

  constructor(hub: Hub, process: SimProcess) {
    this.#line = new Line(hub, process);
    const { link } = process;
    link.listeners.broken.add(() => {
      hub.forget(link);
      hub.clock.schedule(0, process, () => {
        this.#connected = false;
      });
    });
    link.listeners.back.add(() => void hub.clock.schedule(0, process, () => this.#back()));
    const streams = new StreamAccess(this.#line);
    const durable = new DurableConsumers(this.#line);
    const shortLived = new ShortLivedConsumers(this.#line);
    this.nats = {
      nc: partOf<NatsConnection>({
        publish: (subject, data, options) =>
          this.#line.toHub(() =>
            hub.publish({ subject, data: bytesOf(data), headers: options?.headers, by: process }),
          ),
        subscribe: (subject, options) => this.#subscribe(subject, options?.callback),
        request: (subject, _payload, options) => durable.acknowledgeBySubject(subject, options?.timeout),
        isClosed: () => false,
        flush: () => this.#line.request(60_000, (answer) => answer(undefined)),
      }),
      js: partOf<JetStreamClient>({
        publish: (subject, data, options) => streams.store(subject, data, options ?? {}),
        consumers: partOf<JetStreamClient['consumers']>({
          get: (stream, name) => durable.get(stream, typeof name === 'string' ? name : ''),
          getConsumerFromInfo: (info) => shortLived.get(info),
        }),
      }),
      jsm: partOf<JetStreamManager>({
        direct: partOf<JetStreamManager['direct']>({
          getMessage: (stream, query) => streams.read(stream, query),
          getLastMessagesFor: (stream, query) => streams.readLast(stream, query),
        }),
        streams: partOf<JetStreamManager['streams']>({
          info: (name) => streams.info(name),
          add: (config) => streams.add(config.name ?? ''),
          update: (name) => streams.add(name),
          deleteMessage: (name, seq) => streams.deleteMessage(name, seq),
        }),
        consumers: partOf<JetStreamManager['consumers']>({
          add: (stream, config) => shortLived.add(stream, config.filter_subject ?? '>'),
          delete: () => this.#line.request(timeoutMs, (answer: Answer<boolean>) => answer(true)),
        }),
      }),
      connected: () => this.#connected,
      onReconnect: (listener) => void this.#onReconnect.add(listener),
      offReconnect: (listener) => void this.#onReconnect.delete(listener),
    };
  }

  #back(): void {
    const { hub } = this.#line;
    this.#connected = true;
    for (const one of this.#subscribers) this.#line.toHub(() => hub.subscribe(one));
    for (const listener of [...this.#onReconnect]) listener();
    this.#line.renew();
  }

  #subscribe(pattern: string, callback: ((error: null, message: Msg) => void) | undefined): Subscription {
    const { hub, process } = this.#line;
    let isOpen = true;
    const subscriber: Subscriber = {
      link: process.link,
      pattern,
      receive: (message) => {
        if (isOpen) callback?.(null, msgOf(message));
      },
    };
    this.#subscribers.add(subscriber);
    this.#line.toHub(() => hub.subscribe(subscriber));
    return partOf<Subscription>({
      unsubscribe: () => {
        isOpen = false;
        this.#subscribers.delete(subscriber);
        this.#line.toHub(() => hub.unsubscribe(subscriber));
      },
    });
  }
}
