import { type Event, event, parseMessage, streams, subjects, tokenOf } from '@drover/schemas';
import type { StoredMsg } from '@nats-io/jetstream';
import type { MsgHdrs } from 'nats';
import { lastAfterRefusal, publishIfLast } from './compare-and-set.ts';
import type { Nats } from './nats.ts';
import { readSubject } from './read-subject.ts';

/** An event as the log holds it. Its sequence is what a compare-and-set expects; `writer` a cluster or a reserved writer. */
export type StoredEvent = { readonly seq: number; readonly writer: string; readonly event: Event };

/** How the event log of a request stands. */
export type LogEnd = {
  /** The last event: the truth about the request. Null when none was written (yet, or any more). */
  readonly last: StoredEvent | null;
  /** The sequence that a compare-and-set has to expect: of the last message, were it an event or not; 0 for none. */
  readonly expect: number;
};

type Read = StoredEvent & { readonly text: string };

/**
 * The event log of one request: who owns it, and what became of it. A message that is no event is passed over: it says
 * nothing about the request, but a compare-and-set has to count it. Producers can make the server put such messages there
 * (docs/producers.md): PubAcks, and copies of their own events.
 */
export class EventLog {
  readonly #nats: Nats;
  readonly #tenant: string;
  readonly #id: string;
  readonly #headers: MsgHdrs | undefined;

  /**
   * @param tenant `'*'` to read the log of a request whose tenant is not known; nobody writes with that
   * @param headers that every event of this writer shall carry
   */
  constructor(nats: Nats, tenant: string, id: string, headers?: MsgHdrs) {
    this.#nats = nats;
    this.#tenant = tenant;
    this.#id = id;
    this.#headers = headers;
  }

  get #subject(): string {
    return subjects.event('*', this.#tenant, this.#id);
  }

  /** The last event. @throws as `end` */
  async last(): Promise<StoredEvent | null> {
    return (await this.end()).last;
  }

  /** Every event, the oldest first. @throws when JetStream does not answer */
  async all(): Promise<StoredEvent[]> {
    return (await this.#stored()).events;
  }

  /** @throws when JetStream does not answer, or to a producer whose request has noise last: it may not look back */
  async end(): Promise<LogEnd> {
    const { last, expect } = await this.#end();
    if (last === null) return { last, expect };
    const { seq, writer, event: value } = last;
    return { last: { seq, writer, event: value }, expect };
  }

  /**
   * Writes `value` if `expect` is still the sequence of the last event (0: no event yet).
   * @returns its sequence, which is the fence when it is `running`; null when somebody else was first
   * @throws when JetStream does not answer within `giveUpAfterMs`
   */
  async write(
    writer: string,
    value: Event,
    expect: number,
    options: { giveUpAfterMs?: number } = {},
  ): Promise<number | null> {
    const data = JSON.stringify(value);
    const subject = subjects.event(writer, this.#tenant, this.#id);
    let lastSeq = expect;
    while (true) {
      const seq = await publishIfLast(this.#nats, streams.events.name, subject, data, {
        guard: this.#subject,
        lastSeq,
        ...options,
        ...(this.#headers ? { headers: this.#headers } : {}),
      });
      if (seq !== null) return seq;
      const end = await this.#endOf(
        await lastAfterRefusal(this.#nats, streams.events.name, this.#subject, lastSeq),
      );
      // An answer was lost, and something came behind our own message before we looked.
      if (end.last?.text === data) return end.last.seq;
      const onlyNoise = (end.last?.seq ?? 0) === expect && end.expect > lastSeq;
      if (!onlyNoise) return null;
      lastSeq = end.expect;
    }
  }

  async #end(): Promise<{ last: Read | null; expect: number }> {
    return this.#endOf(
      await this.#nats.jsm.direct.getMessage(streams.events.name, { last_by_subj: this.#subject }),
    );
  }

  async #endOf(message: StoredMsg | null): Promise<{ last: Read | null; expect: number }> {
    if (message === null) return { last: null, expect: 0 };
    // The answer itself names the stream once; a copy had the name before.
    const last = message.header.values(copyMark).length > 1 ? null : read(message);
    if (last !== null) return { last, expect: message.seq };
    const { events, expect } = await this.#stored();
    return { last: events.at(-1) ?? null, expect: Math.max(expect, message.seq) };
  }

  async #stored(): Promise<{ events: Read[]; expect: number }> {
    const messages = await readSubject(this.#nats, streams.events.name, this.#subject);
    const events = messages.flatMap((message) => (isCopied(message.headers) ? [] : (read(message) ?? [])));
    return { events, expect: messages.at(-1)?.seq ?? 0 };
  }
}

/** The server sets it on every message that is got directly; no writer of events does. */
const copyMark = 'Nats-Stream';

/** True for a message that was got directly from a stream and delivered, or stored, somewhere else by its reply subject. */
export const isCopied = (headers: MsgHdrs | undefined): boolean => headers?.has(copyMark) ?? false;

function read(message: {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
}): Read | null {
  const parsed = parseMessage(event, message.data);
  if (!parsed.ok) return null;
  const text = new TextDecoder().decode(message.data);
  return { seq: message.seq, writer: tokenOf(message.subject, 2), event: parsed.value, text };
}
