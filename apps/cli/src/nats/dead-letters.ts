import { apiErrors, isApiError, type Nats, readSubject } from '@drover/runtime';
import { natsHeaders, type Request, streams, subjectOfRequest, subjects } from '@drover/schemas';
import { JetStreamApiError } from '@nats-io/jetstream';
import { headers } from 'nats';
import { type DeadLetter, deadLetterOf } from '../core/dead-letter.ts';
import { CliError } from '../errors.ts';

const stream = streams.deadLetters.name;

/** Every dead letter, oldest first, without its content. @param reason only those of this reason */
export async function listDeadLetters(nats: Nats, reason = '*'): Promise<DeadLetter[]> {
  const messages = await readSubject(nats, stream, subjects.deadLetter(reason, '*'), { headersOnly: true });
  return messages.map(({ seq, subject, time, headers: about }) =>
    deadLetterOf({ seq, subject, diedAtMs: time.getTime(), header: (name) => about?.get(name) || undefined }),
  );
}

export type OpenedLetter = { readonly letter: DeadLetter; readonly data: Uint8Array };

/**
 * The last dead letter of a request, or the one with this sequence.
 * @throws CliError `not_found`, `ambiguous` when a request has several and none was named
 */
export async function openDeadLetter(nats: Nats, request: string, seq?: number): Promise<OpenedLetter> {
  const wanted = seq ?? (await onlySeqOf(nats, request));
  const message = await nats.jsm.direct.getMessage(stream, { seq: wanted }).catch((error: unknown) => {
    if (error instanceof JetStreamApiError) return null;
    throw error;
  });
  if (message === null || !message.subject.endsWith(`.${request}`))
    throw new CliError('not_found', `${request} has no dead letter ${wanted}`);
  const { header, subject, time, data } = message;
  const letter = deadLetterOf({
    seq: message.seq,
    subject,
    diedAtMs: time.getTime(),
    header: (name) => header.get(name) || undefined,
  });
  return { letter, data };
}

async function onlySeqOf(nats: Nats, request: string): Promise<number> {
  const found = await readSubject(nats, stream, subjects.deadLetter('*', request), { headersOnly: true });
  const [first, ...others] = found;
  if (first === undefined) throw new CliError('not_found', `${request} has no dead letter`);
  if (others.length > 0) {
    const seqs = found.map(({ seq }) => seq).join(', ');
    throw new CliError('ambiguous', `${request} has several dead letters: name one by --seq (${seqs})`);
  }
  return first.seq;
}

/**
 * Submits a request in place of a dead letter, and deletes the letter once JetStream has stored it.
 * @throws when it was not stored: the letter is still there then
 */
export async function resubmit(nats: Nats, { letter }: OpenedLetter, request: Request): Promise<void> {
  const about = headers();
  about.set(natsHeaders.retryOf, letter.request);
  const subject = subjectOfRequest(request);
  try {
    await nats.js.publish(subject, JSON.stringify(request), { msgID: request.id, headers: about });
  } catch (error) {
    // An earlier try was stored, and still waits.
    const waits = isApiError(error, apiErrors.maximumMessages) && String(error).includes('per subject');
    if (!waits) throw error;
  }
  await nats.jsm.streams.deleteMessage(stream, letter.seq, false);
}
