import type { Nats } from '@drover/runtime';
import { type StreamDefinition, streams } from '@drover/schemas';
import {
  type Consumer,
  type ConsumerInfo,
  type ConsumerMessages,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  type PubAck,
  type StoredMsg,
} from '@nats-io/jetstream';
import { headers, type Msg, type MsgHdrs, type NatsConnection, type Subscription, TimeoutError } from 'nats';
import { epochMs } from '../clock.ts';
import type { SimProcess } from '../process.ts';
import type { AckKind, ConsumerModel, Delivery, Pull } from './consumer.ts';
import type { CoreMessage, Hub, Subscriber } from './hub.ts';
import { type Follow, MessageFlow } from './message-flow.ts';
import type { StoreAnswer, Stored, StreamModel } from './stream.ts';

/** Where the client library meets the model: what production does not use is missing, and calling it throws. */
const partOf = <T>(part: Partial<T>): T => part as T;

const encoder = new TextEncoder();
const bytesOf = (data: unknown): Uint8Array =>
  data instanceof Uint8Array ? data : encoder.encode(typeof data === 'string' ? data : '');

const timeoutMs = 2_000;
/** A fetch ends after two missed heartbeats of a second. */
const silenceMs = 2_000;

type Refusal = { readonly code: number; readonly description: string };
type Answer<T> = (result: T | Error) => void;

const refusal = ({ code, description }: Refusal): Error =>
  new JetStreamApiError({ code: 400, err_code: code, description });

/** The `Nats` of one process: the interface that production code is written against, on the model of the hub. */
export function connect(hub: Hub, process: SimProcess): Nats {
  return new Connection(hub, process).nats;
}

class Connection {
  readonly nats: Nats;
  readonly #hub: Hub;
  readonly #process: SimProcess;
  readonly #subscribers = new Set<Subscriber>();
  readonly #onReconnect = new Set<() => void>();
  /** Renews what stood at the hub, a moment after the connection is back. */
  readonly #renewals = new Set<() => void>();
  #connected = true;
  #names = 0;

  constructor(hub: Hub, process: SimProcess) {
    this.#hub = hub;
    this.#process = process;
    const { link } = process;
    link.listeners.broken.add(() => {
      hub.forget(link);
      hub.clock.schedule(0, process, () => {
        this.#connected = false;
      });
    });
    link.listeners.back.add(() => void hub.clock.schedule(0, process, () => this.#back()));
    this.nats = {
      nc: partOf<NatsConnection>({
        publish: (subject, data, options) => this.#publish(subject, bytesOf(data), options?.headers),
        subscribe: (subject, options) => this.#subscribe(subject, options?.callback),
        request: (subject, _payload, options) => this.#acknowledgeBySubject(subject, options?.timeout),
        isClosed: () => false,
        flush: () => this.#request(60_000, (answer) => answer(undefined)),
      }),
      js: partOf<JetStreamClient>({
        publish: (subject, data, options) => this.#store(subject, bytesOf(data), options ?? {}),
        consumers: partOf<JetStreamClient['consumers']>({
          get: async (stream, name) => this.#consumer(stream, typeof name === 'string' ? name : ''),
          getConsumerFromInfo: (info) => this.#shortLived(info),
        }),
      }),
      jsm: partOf<JetStreamManager>({
        direct: partOf<JetStreamManager['direct']>({
          getMessage: (stream, query) => this.#read(stream, query),
          getLastMessagesFor: async (stream) => this.#readLast(stream),
        }),
        streams: partOf<JetStreamManager['streams']>({
          info: (name) => this.#listSubjects(name),
          add: (config) => this.#addStream(config.name ?? ''),
          update: (name) => this.#addStream(name),
          deleteMessage: (name, seq) => this.#deleteMessage(name, seq),
        }),
        consumers: partOf<JetStreamManager['consumers']>({
          add: (stream, config) => this.#addShortLived(stream, config.filter_subject ?? '>'),
          delete: () => this.#request(timeoutMs, (answer: Answer<boolean>) => answer(true)),
        }),
      }),
      connected: () => this.#connected,
      onReconnect: (listener) => void this.#onReconnect.add(listener),
      offReconnect: (listener) => void this.#onReconnect.delete(listener),
    };
  }

  #back(): void {
    this.#connected = true;
    for (const one of this.#subscribers) this.#toHub(() => this.#hub.subscribe(one));
    for (const listener of [...this.#onReconnect]) listener();
    for (const renew of this.#renewals)
      this.#hub.clock.schedule(this.#hub.random.between(0, silenceMs), this.#process, renew, true);
  }

  #toHub(arrive: () => void): void {
    this.#process.link.toHub(arrive);
  }

  #publish(subject: string, data: Uint8Array, headers: MsgHdrs | undefined): void {
    const by = this.#process;
    this.#toHub(() => this.#hub.publish({ subject, data, headers, by }));
  }

  #subscribe(pattern: string, callback: ((error: null, message: Msg) => void) | undefined): Subscription {
    const { link } = this.#process;
    let isOpen = true;
    const subscriber: Subscriber = {
      link,
      pattern,
      receive: (message) => {
        if (isOpen) callback?.(null, msgOf(message));
      },
    };
    this.#subscribers.add(subscriber);
    this.#toHub(() => this.#hub.subscribe(subscriber));
    return partOf<Subscription>({
      unsubscribe: () => {
        isOpen = false;
        this.#subscribers.delete(subscriber);
        this.#toHub(() => this.#hub.unsubscribe(subscriber));
      },
    });
  }

  /** Asks the hub; what it answers to a connection that is gone is lost. */
  #request<T>(withinMs: number, ask: (answer: Answer<T>) => void): Promise<T> {
    const { link } = this.#process;
    const { generation } = link;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const timer = setTimeout(() => reject(new TimeoutError()), withinMs);
    this.#toHub(() =>
      ask((result) => {
        if (link.generation !== generation) return;
        link.toProcess(() => {
          clearTimeout(timer);
          if (result instanceof Error) reject(result);
          else resolve(result);
        });
      }),
    );
    return promise;
  }

  /** Asks about a stream; nobody answers while it is away. */
  #askStream<T>(
    name: string,
    ask: (stream: StreamModel, answer: Answer<T>) => void,
    withinMs = timeoutMs,
  ): Promise<T> {
    return this.#request<T>(withinMs, (answer) => {
      if (this.#hub.isAway(name)) return;
      const stream = this.#hub.streams.get(name);
      if (stream) ask(stream, answer);
      else answer(refusal({ code: 10_059, description: 'stream not found' }));
    });
  }

  #store(
    subject: string,
    data: Uint8Array,
    options: Parameters<JetStreamClient['publish']>[2] & object,
  ): Promise<PubAck> {
    const { msgID, expect, timeout } = options;
    const guard = expect?.lastSubjectSequenceSubject;
    const publication = {
      subject,
      data,
      headers: options.headers,
      by: this.#process,
      msgId: msgID,
      expect: guard === undefined ? undefined : { guard, lastSeq: expect?.lastSubjectSequence ?? 0 },
    };
    return this.#request<PubAck>(timeout ?? timeoutMs, (answer) =>
      this.#hub.publish(publication, (given: StoreAnswer) =>
        answer(
          'seq' in given
            ? { stream: '', ...given }
            : refusal({ code: given.refused, description: given.description }),
        ),
      ),
    );
  }

  // Reading

  #read(
    name: string,
    query: Parameters<JetStreamManager['direct']['getMessage']>[1],
  ): Promise<StoredMsg | null> {
    return this.#askStream<StoredMsg | null>(name, (stream, answer) => {
      const horizon = this.#hub.horizon(stream);
      const found = findMessage(stream, query, horizon);
      answer(found ? storedMsgOf(found) : null);
    });
  }

  async #readLast(
    name: string,
  ): Promise<Awaited<ReturnType<JetStreamManager['direct']['getLastMessagesFor']>>> {
    const found = await this.#askStream<readonly Stored[]>(name, (stream, answer) =>
      answer([...stream.messages]),
    );
    const flow = new MessageFlow<StoredMsg>();
    for (const one of found) flow.push(storedMsgOf(one));
    flow.end();
    return partOf<Awaited<ReturnType<JetStreamManager['direct']['getLastMessagesFor']>>>({
      [Symbol.asyncIterator]: () => flow[Symbol.asyncIterator](),
    });
  }

  #listSubjects(name: string) {
    type Info = Awaited<ReturnType<JetStreamManager['streams']['info']>>;
    return this.#askStream<Info>(name, (stream, answer) => {
      const subjects = Object.fromEntries(stream.messages.map(({ subject }) => [subject, 1]));
      const config = partOf<Info['config']>({ num_replicas: 1 });
      answer(partOf<Info>({ config, state: partOf<Info['state']>({ subjects }) }));
    });
  }

  #addStream(name: string) {
    type Info = Awaited<ReturnType<JetStreamManager['streams']['add']>>;
    return this.#request<Info>(timeoutMs, (answer) => {
      const definition = Object.values<StreamDefinition>(streams).find((one) => one.name === name);
      if (definition) this.#hub.addStream(definition);
      answer(partOf<Info>({}));
    });
  }

  #deleteMessage(name: string, seq: number): Promise<boolean> {
    return this.#askStream<boolean>(name, (stream, answer) =>
      answer(
        this.#hub.deleteMessage(stream, seq) || refusal({ code: 10_057, description: 'no message found' }),
      ),
    );
  }

  // Durable consumers

  async #consumer(stream: string, name: string): Promise<Consumer> {
    const model = this.#hub.consumers.get(`${stream}.${name}`);
    await this.#askStream<boolean>(stream, (_, answer) =>
      answer(model !== undefined || refusal({ code: 10_014, description: 'consumer not found' })),
    );
    if (!model) throw new Error(`no consumer ${name}`);
    return partOf<Consumer>({
      fetch: async (options) => this.#fetch(model, options?.max_messages ?? 1, options?.expires ?? 30_000),
      consume: async (options) => this.#consume(model, options?.callback),
    });
  }

  #fetch(model: ConsumerModel, wanted: number, expiresMs: number): ConsumerMessages {
    const { clock } = this.#hub;
    const { link } = this.#process;
    const flow = new MessageFlow<JsMsg>();
    let left = wanted;
    const pull: Pull = {
      link,
      wanted,
      deliver: (delivery) =>
        link.toProcess(() => {
          flow.push(this.#jsMsg(model, delivery));
          if (--left === 0) flow.end();
        }),
    };
    this.#toHub(() => {
      if (this.#hub.isAway(model.definition.stream)) return;
      model.pull(pull);
      clock.schedule(expiresMs, undefined, () => {
        if (pull.wanted === 0) return;
        pull.wanted = 0;
        link.toProcess(() => flow.end());
      });
    });
    this.#endWhenSilent(flow, expiresMs);
    return partOf<ConsumerMessages>({
      [Symbol.asyncIterator]: () => flow[Symbol.asyncIterator](),
      stop: () => flow.end(),
    });
  }

  /** Without a connection no heartbeat comes; a fetch that the hub forgot ends like one. */
  #endWhenSilent(flow: MessageFlow<JsMsg>, expiresMs: number): void {
    const { link } = this.#process;
    const { clock } = this.#hub;
    const { generation } = link;
    const isCut = () => !link.isUp || link.isStalled || link.generation !== generation;
    const watch = () =>
      void clock.schedule(
        silenceMs,
        this.#process,
        () => {
          if (isCut()) flow.end(new Error('heartbeats missed'));
        },
        true,
      );
    if (isCut()) watch();
    link.listeners.broken.add(watch);
    link.listeners.silent.add(watch);
    const timer = setTimeout(() => flow.end(), expiresMs + silenceMs);
    flow.onEnd(() => {
      clearTimeout(timer);
      link.listeners.broken.delete(watch);
      link.listeners.silent.delete(watch);
    });
  }

  /** A pull that never ends. Its renewal is not modelled, except after a broken connection. */
  #consume(model: ConsumerModel, callback: ((message: JsMsg) => void) | undefined): ConsumerMessages {
    const { link } = this.#process;
    const flow = new MessageFlow<JsMsg>();
    const closed = Promise.withResolvers<void>();
    let isOpen = true;
    let pull: Pull | undefined;
    const begin = () => {
      if (!isOpen) return;
      const standing: Pull = {
        link,
        wanted: Number.POSITIVE_INFINITY,
        deliver: (delivery) =>
          link.toProcess(() => {
            if (!isOpen) return;
            const message = this.#jsMsg(model, delivery);
            if (callback) callback(message);
            else flow.push(message);
          }),
      };
      if (pull) pull.wanted = 0;
      pull = standing;
      this.#toHub(() => model.pull(standing));
    };
    begin();
    this.#renewals.add(begin);
    return partOf<ConsumerMessages>({
      [Symbol.asyncIterator]: () => flow[Symbol.asyncIterator](),
      closed: () => closed.promise,
      close: async () => {
        isOpen = false;
        this.#renewals.delete(begin);
        const last = pull;
        this.#toHub(() => {
          if (last) last.wanted = 0;
        });
        flow.end();
        closed.resolve();
      },
    });
  }

  #jsMsg(model: ConsumerModel, { message, count }: Delivery): JsMsg {
    const { stream, name } = model.definition;
    let isSettled = false;
    const tell = (kind: AckKind, delayMs?: number) => {
      if (isSettled) return;
      isSettled = kind !== 'working';
      this.#toHub(() => model.acknowledge(message.seq, kind, delayMs));
    };
    const reply = `$JS.ACK.${stream}.${name}.${count}.${message.seq}`;
    const part: Partial<JsMsg> & { reply: string } = {
      subject: message.subject,
      data: message.data,
      headers: message.headers,
      seq: message.seq,
      redelivered: count > 1,
      time: new Date(epochMs + message.storedMs),
      info: partOf<JsMsg['info']>({ stream, consumer: name, deliveryCount: count, redelivered: count > 1 }),
      reply,
      ack: () => tell('ack'),
      nak: (millis) => tell('nak', millis),
      working: () => tell('working'),
      term: () => tell('term'),
      ackAck: (options) => {
        isSettled = true;
        return this.#confirmedAck(model, message.seq, options?.timeout);
      },
    };
    return partOf<JsMsg>(part);
  }

  #confirmedAck(model: ConsumerModel, seq: number, withinMs = timeoutMs): Promise<boolean> {
    return this.#askStream<boolean>(
      model.definition.stream,
      (_, answer) => {
        model.acknowledge(seq, 'ack');
        answer(true);
      },
      withinMs,
    );
  }

  async #acknowledgeBySubject(subject: string, withinMs?: number): Promise<Msg> {
    const [, , stream, name, , seq] = subject.split('.');
    const model = this.#hub.consumers.get(`${stream}.${name}`);
    if (model) await this.#confirmedAck(model, Number(seq), withinMs);
    return partOf<Msg>({ data: new Uint8Array() });
  }

  // Short-lived consumers, without acks

  #addShortLived(streamName: string, filter: string): Promise<ConsumerInfo> {
    return this.#askStream<ConsumerInfo>(streamName, (stream, answer) =>
      answer(
        partOf<ConsumerInfo>({
          name: `short-lived-${this.#names++}`,
          stream_name: streamName,
          num_pending: stream.matching(filter).length,
          config: partOf<ConsumerInfo['config']>({ filter_subject: filter }),
        }),
      ),
    );
  }

  #shortLived(info: ConsumerInfo): Consumer {
    let nextSeq = 0;
    return partOf<Consumer>({
      fetch: async (options) => {
        const flow = new MessageFlow<JsMsg>();
        const follow: Follow = {
          stream: info.stream_name,
          filter: info.config.filter_subject ?? '>',
          wanted: options?.max_messages ?? 100,
          expiresMs: options?.expires ?? 30_000,
          fromSeq: () => nextSeq,
          onRead: (seq) => {
            nextSeq = seq + 1;
          },
        };
        this.#follow(follow, flow);
        return partOf<ConsumerMessages>({
          [Symbol.asyncIterator]: () => flow[Symbol.asyncIterator](),
          stop: () => flow.end(),
        });
      },
    });
  }

  /** Gives what is stored, then what is stored meanwhile, until enough was given or the time is over. */
  #follow(follow: Follow, flow: MessageFlow<JsMsg>): void {
    const { link } = this.#process;
    const { generation } = link;
    const hub = this.#hub;
    let left = follow.wanted;
    this.#endWhenSilent(flow, follow.expiresMs);
    this.#toHub(() => {
      const give = () => {
        const found = hub.streams.get(follow.stream)?.matching(follow.filter, follow.fromSeq()) ?? [];
        const given = found.slice(0, left);
        const last = given.at(-1);
        if (!last || link.generation !== generation) return;
        left -= given.length;
        follow.onRead(last.seq);
        link.toProcess(() => {
          for (const one of given)
            flow.push(partOf<JsMsg>({ subject: one.subject, data: one.data, seq: one.seq }));
        });
        if (left === 0) end();
      };
      const stop = hub.follow(follow.stream, give);
      const expiry = hub.clock.schedule(follow.expiresMs, undefined, () => end());
      const end = () => {
        stop();
        expiry.cancelled = true;
        if (link.generation === generation) link.toProcess(() => flow.end());
      };
      give();
    });
  }
}

type Query = Parameters<JetStreamManager['direct']['getMessage']>[1];

function findMessage(stream: StreamModel, query: Query, horizon: number): Stored | undefined {
  if ('last_by_subj' in query) return stream.last(query.last_by_subj, horizon);
  const seq = 'seq' in query ? query.seq : 1;
  const found = 'next_by_subj' in query ? stream.matching(query.next_by_subj, seq)[0] : stream.get(seq);
  return found && found.seq < horizon ? found : undefined;
}

const msgOf = (message: CoreMessage): Msg =>
  partOf<Msg>({
    subject: message.subject,
    data: message.data,
    ...(message.headers ? { headers: message.headers } : {}),
  });

const noHeaders = headers();

const storedMsgOf = (stored: Stored): StoredMsg =>
  partOf<StoredMsg>({
    subject: stored.subject,
    seq: stored.seq,
    data: stored.data,
    header: stored.headers ?? noHeaders,
    time: new Date(epochMs + stored.storedMs),
  });
