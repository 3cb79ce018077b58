import { setTimeout as sleep } from 'node:timers/promises';
import { JetStreamApiError, type StoredMsg } from '@nats-io/jetstream';
import type { MsgHdrs } from 'nats';
import { apiErrors, isApiError } from './jetstream.ts';
import type { Nats } from './nats.ts';
import { isUnanswered } from './until-there.ts';

export type Last = { readonly seq: number; readonly data: Uint8Array };

/** How long a replica may be behind the one that has just refused a write, and how often it is asked. */
const catchUp = { tries: 10, everyMs: 30 };

/**
 * The last message on a subject after a write was refused that had expected `refusedSeq` to be the last: something is there, or
 * was, that came after it. A direct read may be answered by a replica that does not have that yet, and says what it has; then it
 * is asked again, for a moment. A subject whose messages have run out meanwhile stays as it is.
 */
export async function lastAfterRefusal(
  nats: Nats,
  stream: string,
  subject: string,
  refusedSeq: number,
): Promise<StoredMsg | null> {
  let last: StoredMsg | null = null;
  for (let tries = 1; tries <= catchUp.tries; tries++) {
    last = await nats.jsm.direct.getMessage(stream, { last_by_subj: subject });
    if (last !== null && last.seq > refusedSeq) break;
    await sleep(catchUp.everyMs);
  }
  return last;
}

/** The last message on a subject (wildcards allowed) of a stream with direct access, or null when there is none. */
export async function lastMessage(nats: Nats, stream: string, subject: string): Promise<Last | null> {
  const message = await nats.jsm.direct.getMessage(stream, { last_by_subj: subject });
  return message === null ? null : { seq: message.seq, data: message.data };
}

/**
 * Publishes `data` only if `lastSeq` is still the last sequence on `guard` (0: nothing there yet).
 * Returns the new sequence, or null when somebody else was first. Publishes that were not answered, or that JetStream had no
 * room for, are repeated for `giveUpAfterMs`; if such a publish had arrived after all, its own message is recognised and
 * counts as a success.
 * @throws the last error when JetStream did not answer in time, or refused for another reason
 */
export async function publishIfLast(
  nats: Nats,
  stream: string,
  subject: string,
  data: string,
  options: { guard: string; lastSeq: number; headers?: MsgHdrs; giveUpAfterMs?: number; ttlMs?: number },
): Promise<number | null> {
  const giveUpAtMs = Date.now() + (options.giveUpAfterMs ?? 10_000);
  let unanswered = false;
  while (true) {
    try {
      const ack = await nats.js.publish(subject, data, {
        timeout: 1_500,
        expect: { lastSubjectSequence: options.lastSeq, lastSubjectSequenceSubject: options.guard },
        ...(options.headers ? { headers: options.headers } : {}),
        ...(options.ttlMs === undefined ? {} : { ttl: `${Math.ceil(options.ttlMs / 1_000)}s` }),
      });
      return ack.seq;
    } catch (error) {
      if (isApiError(error, apiErrors.wrongLastSequence)) {
        return unanswered ? ownSequence(nats, stream, options, data) : null;
      }
      const refused = error instanceof JetStreamApiError && !isUnanswered(error);
      if (refused || Date.now() >= giveUpAtMs) throw error;
      unanswered = true;
      await sleep(100 + Math.random() * 200);
    }
  }
}

async function ownSequence(
  nats: Nats,
  stream: string,
  { guard, lastSeq }: { guard: string; lastSeq: number },
  data: string,
): Promise<number | null> {
  const last = await lastAfterRefusal(nats, stream, guard, lastSeq);
  return last !== null && new TextDecoder().decode(last.data) === data ? last.seq : null;
}
