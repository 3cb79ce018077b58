import { type StreamDefinition, streams } from '@drover/schemas';
import type { JetStreamClient, JetStreamManager, PubAck, StoredMsg } from '@nats-io/jetstream';
import { bytesOf, partOf, refusal, storedMsgOf } from './library.ts';
import { type Line, timeoutMs } from './line.ts';
import { MessageFlow } from './message-flow.ts';
import type { StoreAnswer, Stored, StreamModel } from './stream.ts';
import { matches } from './subject.ts';

type Query = Parameters<JetStreamManager['direct']['getMessage']>[1];
type LastQuery = Parameters<JetStreamManager['direct']['getLastMessagesFor']>[1];
type LastMessages = Awaited<ReturnType<JetStreamManager['direct']['getLastMessagesFor']>>;
type Info = Awaited<ReturnType<JetStreamManager['streams']['info']>>;
type PublishOptions = Parameters<JetStreamClient['publish']>[2] & object;

/** Storing in streams, reading from them without a consumer, and managing them. */
export class StreamAccess {
  readonly #line: Line;

  constructor(line: Line) {
    this.#line = line;
  }

  store(subject: string, data: unknown, options: PublishOptions): Promise<PubAck> {
    const { msgID, expect, timeout, ttl } = options;
    const { hub, process } = this.#line;
    const publication = {
      subject,
      data: bytesOf(data),
      headers: options.headers,
      by: process,
      msgId: msgID,
      ttlMs: ttl === undefined ? undefined : Number.parseInt(ttl, 10) * 1_000,
      expect:
        expect?.lastSubjectSequence === undefined
          ? undefined
          : { guard: expect.lastSubjectSequenceSubject ?? subject, lastSeq: expect.lastSubjectSequence },
    };
    return this.#line.request<PubAck>(timeout ?? timeoutMs, (answer) =>
      hub.publish(publication, (given: StoreAnswer) =>
        answer(
          'seq' in given
            ? { stream: '', ...given }
            : refusal({ code: given.refused, description: given.description }),
        ),
      ),
    );
  }

  read(name: string, query: Query): Promise<StoredMsg | null> {
    return this.#line.askStream<StoredMsg | null>(name, (stream, answer) => {
      const found = findMessage(stream, query, this.#line.hub.horizon(stream));
      answer(found ? storedMsgOf(found) : null);
    });
  }

  async readLast(name: string, query: LastQuery): Promise<LastMessages> {
    const patterns = [query.multi_last].flat();
    const found = await this.#line.askStream<readonly Stored[]>(name, (stream, answer) =>
      answer(stream.messages.filter(({ subject }) => patterns.some((pattern) => matches(pattern, subject)))),
    );
    const flow = new MessageFlow<StoredMsg>();
    for (const one of new Map(found.map((one) => [one.subject, one])).values()) flow.push(storedMsgOf(one));
    flow.end();
    return partOf<LastMessages>({ [Symbol.asyncIterator]: () => flow[Symbol.asyncIterator]() });
  }

  info(name: string): Promise<Info> {
    return this.#line.askStream<Info>(name, (stream, answer) => {
      const subjects = Object.fromEntries(stream.messages.map(({ subject }) => [subject, 1]));
      const config = partOf<Info['config']>({ num_replicas: 1 });
      const state = partOf<Info['state']>({ subjects, messages: stream.messages.length });
      answer(partOf<Info>({ config, state }));
    });
  }

  add(name: string): Promise<Info> {
    return this.#line.request<Info>(timeoutMs, (answer) => {
      const definition = Object.values<StreamDefinition>(streams).find((one) => one.name === name);
      if (definition) this.#line.hub.addStream(definition);
      answer(partOf<Info>({}));
    });
  }

  deleteMessage(name: string, seq: number): Promise<boolean> {
    const { hub, process } = this.#line;
    return this.#line.askStream<boolean>(name, (stream, answer) =>
      answer(
        hub.deleteMessage(stream, seq, process) || refusal({ code: 10_057, description: 'no message found' }),
      ),
    );
  }
}

function findMessage(stream: StreamModel, query: Query, horizon: number): Stored | undefined {
  if ('last_by_subj' in query) return stream.last(query.last_by_subj, horizon);
  const seq = 'seq' in query ? query.seq : 1;
  const found = 'next_by_subj' in query ? stream.matching(query.next_by_subj, seq)[0] : stream.get(seq);
  return found && found.seq < horizon ? found : undefined;
}
