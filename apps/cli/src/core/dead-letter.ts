import { type AttemptRecord, natsHeaders, readAttemptsHeader, requestIdOf, tokenOf } from '@drover/schemas';

/** What is known of a dead letter without opening it. */
export type DeadLetter = {
  readonly seq: number;
  readonly request: string;
  readonly reason: string;
  readonly problem: string;
  /** Where it was first published. */
  readonly subject: string;
  readonly diedAtMs: number;
  /** How every attempt ended; empty for what was never tried. */
  readonly attempts: readonly AttemptRecord[];
};

/** Pure. A message of LLM_DLQ, from its subject and headers. */
export function deadLetterOf(message: {
  readonly seq: number;
  readonly subject: string;
  readonly diedAtMs: number;
  readonly header: (name: string) => string | undefined;
}): DeadLetter {
  const { seq, subject, diedAtMs, header } = message;
  return {
    seq,
    request: requestIdOf(subject),
    // The subject tells it too; the header is for people.
    reason: header(natsHeaders.reason) || tokenOf(subject, 2),
    problem: header(natsHeaders.problem) ?? '',
    subject: header(natsHeaders.subject) ?? '',
    diedAtMs,
    attempts: readAttemptsHeader(header(natsHeaders.attempts)),
  };
}
