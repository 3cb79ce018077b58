import { lastMessage, type Nats, publishIfLast } from '@drover/runtime';
import {
  type Event,
  event,
  type Job,
  natsHeaders,
  parseMessage,
  streams,
  subjects,
  tokenOf,
} from '@drover/schemas';
import { headers, type MsgHdrs } from 'nats';
import type { LastEvent } from '../core/ownership.ts';

/** A commit has to get through however long NATS is away, unless this process is asked to stop. */
const giveUpAfterMs = 10 * 60_000;

/** The event log of one request: who owns it, and what became of it. */
export class RequestEvents {
  readonly #nats: Nats;
  readonly #job: Job;
  readonly #headers: MsgHdrs | undefined;

  constructor(nats: Nats, job: Job, traceparent: string | undefined) {
    this.#nats = nats;
    this.#job = job;
    this.#headers = traceparent === undefined ? undefined : headers();
    if (traceparent !== undefined) this.#headers?.set(natsHeaders.traceparent, traceparent);
  }

  get #guard(): string {
    return subjects.event('*', this.#job.request.tenant, this.#job.request.id);
  }

  /** @throws when JetStream does not answer, or holds an event that does not parse */
  async last(): Promise<LastEvent | null> {
    const last = await this.#nats.jsm.direct.getMessage(streams.events.name, { last_by_subj: this.#guard });
    if (last === null) return null;
    const parsed = parseMessage(event, last.data);
    if (!parsed.ok) throw new Error(`event ${last.seq} does not parse: ${parsed.problem}`);
    return { seq: last.seq, writer: tokenOf(last.subject, 2), event: parsed.value };
  }

  /** Whether `fence` is still the last event: nobody has taken over. */
  async isOwner(fence: number): Promise<boolean> {
    return (await lastMessage(this.#nats, streams.events.name, this.#guard))?.seq === fence;
  }

  /**
   * Writes `value` if `expect` is still the last sequence (0: no event yet).
   * @returns its sequence, which is the fence when it is `running`; null when somebody else was first
   */
  async write(value: Event, expect: number): Promise<number | null> {
    const { tenant, id, bodyHash } = this.#job.request;
    return publishIfLast(
      this.#nats,
      streams.events.name,
      subjects.event(this.#job.cluster, tenant, id),
      JSON.stringify(bodyHash === undefined ? value : { ...value, bodyHash }),
      {
        guard: this.#guard,
        lastSeq: expect,
        giveUpAfterMs,
        ...(this.#headers ? { headers: this.#headers } : {}),
      },
    );
  }
}
