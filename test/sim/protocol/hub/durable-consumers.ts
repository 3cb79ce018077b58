import type { Consumer, ConsumerMessages, JsMsg } from '@nats-io/jetstream';
import type { Msg } from 'nats';
import { epochMs } from '../clock.ts';
import type { AckKind, ConsumerModel, Delivery, Pull } from './consumer.ts';
import { partOf, refusal } from './library.ts';
import { type Line, timeoutMs } from './line.ts';
import { MessageFlow } from './message-flow.ts';

/** Pulling from the consumers that bootstrap makes, and acknowledging. */
export class DurableConsumers {
  readonly #line: Line;

  constructor(line: Line) {
    this.#line = line;
  }

  async get(stream: string, name: string): Promise<Consumer> {
    const model = this.#line.hub.consumers.get(`${stream}.${name}`);
    await this.#line.askStream<boolean>(stream, (_, answer) =>
      answer(model !== undefined || refusal({ code: 10_014, description: 'consumer not found' })),
    );
    if (!model) throw new Error(`no consumer ${name}`);
    return partOf<Consumer>({
      fetch: async (options) => this.#fetch(model, options?.max_messages ?? 1, options?.expires ?? 30_000),
      consume: async (options) => this.#consume(model, options?.callback),
    });
  }

  /** A request to the subject of an ack, answered when the ack is done. */
  async acknowledgeBySubject(subject: string, withinMs?: number): Promise<Msg> {
    const [, , stream, name, , seq] = subject.split('.');
    const model = this.#line.hub.consumers.get(`${stream}.${name}`);
    if (model) await this.#confirmedAck(model, Number(seq), withinMs);
    return partOf<Msg>({ data: new Uint8Array() });
  }

  #fetch(model: ConsumerModel, wanted: number, expiresMs: number): ConsumerMessages {
    const { hub, process } = this.#line;
    const { link } = process;
    const { generation } = link;
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
    this.#line.toHub(() => {
      if (hub.isAway(model.definition.stream)) return;
      this.#pull(model, pull, generation);
      hub.clock.schedule(expiresMs, undefined, () => {
        if (pull.wanted === 0) return;
        pull.wanted = 0;
        link.toProcess(() => flow.end());
      });
    });
    this.#line.endWhenSilent(flow, expiresMs);
    return partOf<ConsumerMessages>({
      [Symbol.asyncIterator]: () => flow[Symbol.asyncIterator](),
      stop: () => flow.end(),
    });
  }

  /** A pull that never ends. Its renewal is not modelled, except after a broken connection. */
  #consume(model: ConsumerModel, callback: ((message: JsMsg) => void) | undefined): ConsumerMessages {
    const { link } = this.#line.process;
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
      const { generation } = link;
      this.#line.toHub(() => this.#pull(model, standing, generation));
    };
    begin();
    this.#line.renewals.add(begin);
    return partOf<ConsumerMessages>({
      [Symbol.asyncIterator]: () => flow[Symbol.asyncIterator](),
      closed: () => closed.promise,
      close: async () => {
        isOpen = false;
        this.#line.renewals.delete(begin);
        const last = pull;
        this.#line.toHub(() => {
          if (last) last.wanted = 0;
        });
        flow.end();
        closed.resolve();
      },
    });
  }

  /** What arrives from a connection that has ended meanwhile ends with it. */
  #pull(model: ConsumerModel, pull: Pull, generation: number): void {
    if (pull.link.generation === generation) model.pull(pull);
  }

  #jsMsg(model: ConsumerModel, { message, count }: Delivery): JsMsg {
    const { stream, name } = model.definition;
    let isSettled = false;
    const tell = (kind: AckKind, delayMs?: number) => {
      if (isSettled) return;
      isSettled = kind !== 'working';
      this.#line.toHub(() => model.acknowledge(message.seq, kind, delayMs));
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
    return this.#line.askStream<boolean>(
      model.definition.stream,
      (_, answer) => {
        model.acknowledge(seq, 'ack');
        answer(true);
      },
      withinMs,
    );
  }
}
