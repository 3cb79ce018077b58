import type { Consumer, ConsumerInfo, ConsumerMessages, JsMsg } from '@nats-io/jetstream';
import { partOf } from './library.ts';
import type { Line } from './line.ts';
import { type Follow, MessageFlow } from './message-flow.ts';

/** Reading a part of a stream once, without acks. */
export class ShortLivedConsumers {
  readonly #line: Line;
  #names = 0;

  constructor(line: Line) {
    this.#line = line;
  }

  add(streamName: string, filter: string): Promise<ConsumerInfo> {
    return this.#line.askStream<ConsumerInfo>(streamName, (stream, answer) =>
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

  get(info: ConsumerInfo): Consumer {
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
    const { hub, process } = this.#line;
    const { link } = process;
    const { generation } = link;
    let left = follow.wanted;
    this.#line.endWhenSilent(flow, follow.expiresMs);
    this.#line.toHub(() => {
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
