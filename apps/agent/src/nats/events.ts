import { EventLog, type Nats, type StoredEvent } from '@drover/runtime';
import { type AttemptRecord, attemptsOf, type Event, type Job, natsHeaders } from '@drover/schemas';
import { headers, type MsgHdrs } from 'nats';

/** A commit has to get through however long NATS is away, unless this process is asked to stop. */
const giveUpAfterMs = 10 * 60_000;

/** The event log of the request of a job, as this cluster writes it. */
export class RequestEvents {
  readonly #log: EventLog;
  readonly #job: Job;
  readonly #jobSeq: number;

  /** @param jobSeq sequence of the job in LLM_JOBS */
  constructor(nats: Nats, job: Job, jobSeq: number, traceparent: string | undefined) {
    this.#job = job;
    this.#jobSeq = jobSeq;
    this.#log = new EventLog(nats, job.request.tenant, job.request.id, traced(traceparent));
  }

  /** The last event. @throws when JetStream does not answer */
  last(): Promise<StoredEvent | null> {
    return this.#log.last();
  }

  /** How every attempt so far ended. @throws when JetStream does not answer */
  async attempts(): Promise<AttemptRecord[]> {
    return attemptsOf(await this.#log.all());
  }

  /** Whether `fence` is still the last event: nobody has taken over. */
  async isOwner(fence: number): Promise<boolean> {
    return (await this.last())?.seq === fence;
  }

  /**
   * Writes `value` if `expect` is still the sequence of the last event (0: no event yet).
   * @returns its sequence, which is the fence when it is `running`; null when somebody else was first
   */
  write(value: Event, expect: number): Promise<number | null> {
    const { bodyHash } = this.#job.request;
    const whole = {
      ...value,
      ...(value.state === 'ended' ? {} : { job: this.#jobSeq }),
      ...(bodyHash === undefined ? {} : { bodyHash }),
    };
    return this.#log.write(this.#job.cluster, whole, expect, { giveUpAfterMs });
  }
}

function traced(traceparent: string | undefined): MsgHdrs | undefined {
  if (traceparent === undefined) return undefined;
  const carried = headers();
  carried.set(natsHeaders.traceparent, traceparent);
  return carried;
}
