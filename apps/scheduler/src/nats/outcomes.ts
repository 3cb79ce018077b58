import { EventLog, type Nats, readMetered } from '@drover/runtime';
import {
  accountOf,
  type Event,
  type Outcome,
  type Reply,
  type Request,
  subjects,
  writers,
} from '@drover/schemas';

export type Ending = {
  readonly tenant: string;
  readonly id: string;
  /** 0 when it was never assigned. */
  readonly attempt: number;
  /** Sequence of the last event that we know, 0 for none. */
  readonly eventSeq: number;
  readonly outcome: Outcome;
  /** Absent when it cannot be read. */
  readonly request?: Request | undefined;
};

/**
 * Commits the outcome of a request that no agent will end, then tells its readers. False when something has happened to
 * the request that we did not know of: then this outcome never was.
 * @throws when JetStream does not answer
 */
export async function commitOutcome(nats: Nats, ending: Ending): Promise<boolean> {
  const { tenant, id, attempt, eventSeq, outcome, request } = ending;
  const metered = attempt === 0 ? [] : await readMetered(nats, tenant, id);
  const ended: Event = {
    v: 1,
    state: 'ended',
    attempt,
    atMs: Date.now(),
    outcome,
    ...(request?.bodyHash === undefined ? {} : { bodyHash: request.bodyHash }),
    ...(request === undefined ? {} : accountOf(request)),
    ...(metered === undefined ? {} : { metered }),
  };
  const log = new EventLog(nats, tenant, id);
  const fence = await log.write(writers.scheduler, ended, eventSeq, { giveUpAfterMs: 3_000 });
  if (fence === null) return false;
  const end: Reply = { v: 1, f: fence, k: 'end', outcome };
  nats.nc.publish(subjects.reply(writers.scheduler, tenant, id), JSON.stringify(end));
  return true;
}
