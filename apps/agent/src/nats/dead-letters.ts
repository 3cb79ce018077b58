import type { Nats } from '@drover/runtime';
import { type AttemptRecord, attemptsHeader, natsHeaders, subjects } from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';
import { headers } from 'nats';

/** Keeps a job that nobody can process, with the reason. @throws when JetStream did not store it */
export async function writeDeadLetter(
  nats: Nats,
  message: JsMsg,
  why: {
    readonly reason: string;
    readonly problem: string;
    /** How every attempt ended; none for a job that was never tried. */
    readonly attempts?: readonly AttemptRecord[];
  },
  id: string,
): Promise<void> {
  const about = headers();
  about.set(natsHeaders.reason, why.reason);
  about.set(natsHeaders.problem, asciiLine(why.problem));
  about.set(natsHeaders.subject, message.subject);
  if (why.attempts?.length) about.set(natsHeaders.attempts, attemptsHeader(why.attempts));
  await nats.js.publish(subjects.deadLetter(why.reason, id), message.data, {
    msgID: `${message.info.stream}.${message.seq}.${why.reason}`,
    headers: about,
  });
}

/** A header is one line; what a backend said may be anything. */
const asciiLine = (text: string): string => text.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 1_000);
