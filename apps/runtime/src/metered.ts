import {
  meter,
  type Portion,
  parseMessage,
  type Reply,
  reply,
  streams,
  subjects,
  Transcript,
} from '@drover/schemas';
import { EventLog, type StoredEvent } from './event-log.ts';
import type { Nats } from './nats.ts';
import { readSubject } from './read-subject.ts';

/** Clocks of two machines may differ by so much. */
const clockSlackMs = 60_000;

/**
 * Who has said which tokens of a reply that nobody will go on with; undefined when that is not known any more. An owner that
 * gave the request back has written it down; what one that died has said is in LLM_REPLIES, for ten minutes.
 */
export async function readMetered(nats: Nats, tenant: string, id: string): Promise<Portion[] | undefined> {
  try {
    const events = await new EventLog(nats, tenant, id).all();
    const last = events.findLast(({ event }) => event.state !== 'ended');
    if (last?.event.state === 'released' && last.event.metered !== undefined) return last.event.metered;
    const stored = await readSubject(nats, streams.replies.name, subjects.reply('*', tenant, id));
    const said = stored.flatMap(({ data }) => {
      const parsed = parseMessage(reply, data);
      return parsed.ok ? [parsed.value] : [];
    });
    return meteredIn(events, said, Date.now());
  } catch {
    // An outcome must not wait for its account.
    return undefined;
  }
}

/**
 * Pure. The portions of a request whose owner has not written them down.
 * @param events of the request, the oldest first
 * @param said its replies that are still stored
 */
export function meteredIn(
  events: readonly StoredEvent[],
  said: readonly Reply[],
  nowMs: number,
): Portion[] | undefined {
  const transcript = new Transcript();
  let isGapped = false;
  for (const one of said) isGapped = transcript.accept(one) === 'gap' || (isGapped && one.k !== 'open');
  if (isGapped) return undefined;
  if (transcript.open !== undefined) return meter(transcript);
  return silent(events, nowMs);
}

/** Nothing is stored. That means something only while what was said would still be there. */
function silent(events: readonly StoredEvent[], nowMs: number): Portion[] | undefined {
  const isKept = ({ event }: StoredEvent) => nowMs - event.atMs < streams.replies.maxAgeMs - clockSlackMs;
  const writtenDown = events.findLastIndex(({ event }) => event.state === 'released' && event.metered);
  const since = events.slice(writtenDown + 1).filter(({ event }) => event.state === 'running');
  if (!since.every(isKept)) return undefined;
  const released = events[writtenDown]?.event;
  return released?.state === 'released' ? released.metered : [];
}
