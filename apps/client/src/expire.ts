import { type Nats, publishIfLast } from '@drover/runtime';
import { type Event, type Outcome, streams, subjects } from '@drover/schemas';
import { lastEvent } from './replay.ts';

/**
 * Commits `deadline_exceeded` as the outcome unless there is one already; resolves to the outcome that stands.
 * Needs the right to write events as `writer`.
 */
export async function expire(nats: Nats, writer: string, tenant: string, id: string): Promise<Outcome> {
  const outcome: Outcome = {
    status: 'failed',
    code: 'deadline_exceeded',
    message: 'The deadline passed before the answer was complete.',
    units: 0,
  };
  while (true) {
    const last = await lastEvent(nats, tenant, id);
    if (last?.event.state === 'ended') return last.event.outcome;
    const ended: Event = {
      v: 1,
      state: 'ended',
      attempt: last?.event.attempt ?? 0,
      atMs: Date.now(),
      outcome,
    };
    const seq = await publishIfLast(
      nats,
      streams.events.name,
      subjects.event(writer, tenant, id),
      JSON.stringify(ended),
      { guard: subjects.event('*', tenant, id), lastSeq: last?.seq ?? 0 },
    );
    if (seq !== null) return outcome;
  }
}
