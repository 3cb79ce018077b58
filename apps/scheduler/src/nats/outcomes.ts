import { type Nats, publishIfLast } from '@drover/runtime';
import { type Event, type Outcome, type Reply, streams, subjects, writers } from '@drover/schemas';

export type Ending = {
  readonly tenant: string;
  readonly id: string;
  /** 0 when it was never assigned. */
  readonly attempt: number;
  /** Sequence of the last event that we know, 0 for none. */
  readonly eventSeq: number;
  readonly outcome: Outcome;
  readonly bodyHash?: string | undefined;
};

/**
 * Commits the outcome of a request that no agent will end, then tells its readers. False when something has happened to
 * the request that we did not know of: then this outcome never was.
 * @throws when JetStream does not answer
 */
export async function commitOutcome(nats: Nats, ending: Ending): Promise<boolean> {
  const { tenant, id, attempt, eventSeq, outcome, bodyHash } = ending;
  const ended: Event = {
    v: 1,
    state: 'ended',
    attempt,
    atMs: Date.now(),
    outcome,
    ...(bodyHash === undefined ? {} : { bodyHash }),
  };
  const fence = await publishIfLast(
    nats,
    streams.events.name,
    subjects.event(writers.scheduler, tenant, id),
    JSON.stringify(ended),
    { guard: subjects.event('*', tenant, id), lastSeq: eventSeq, giveUpAfterMs: 3_000 },
  );
  if (fence === null) return false;
  const end: Reply = { v: 1, f: fence, k: 'end', outcome };
  nats.nc.publish(subjects.reply(writers.scheduler, tenant, id), JSON.stringify(end));
  return true;
}
