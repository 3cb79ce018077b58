import type { Submission } from '@drover/client';
import { DroverError, type Endpoint, type OpenReply } from '@drover/schemas';
import type { FastifyReply } from 'fastify';
import { answerHeaders } from '../core/answer-headers.ts';
import type { Identity } from '../core/identity.ts';
import { answerIdOf } from '../core/request-id.ts';
import type { Exchange } from './exchange.ts';
import type { Ingress } from './ingress.ts';

/** An accepted request on its way back to its reader. */
export type Delivery = {
  readonly ingress: Ingress;
  readonly endpoint: Endpoint;
  readonly submission: Submission;
  readonly reply: FastifyReply;
  readonly exchange: Exchange;
  /** The name the answer goes by when no attempt has said which model it ran. */
  readonly model: string;
  /** Hash of the body that this reader sent with an Idempotency-Key. */
  readonly bodyHash?: string | undefined;
};

export const identityOf = (
  endpoint: Endpoint,
  id: string,
  model: string,
  nowMs: number = Date.now(),
): Identity => ({ endpoint, id: answerIdOf(endpoint, id), created: Math.floor(nowMs / 1_000), model });

/** What the response headers say, as far as it is known. */
export const knownHeaders = (open: OpenReply | undefined, exchange: Exchange): Record<string, string> =>
  open === undefined ? {} : answerHeaders(open, exchange.overheadMs);

/**
 * A repeated submission joins the first only if it asks the same.
 * @throws DroverError `idempotency_key_reused`
 */
export function refuseReuse({ submission, bodyHash }: Delivery): void {
  const first = submission.bodyHash();
  if (!submission.duplicate || bodyHash === undefined || first === undefined || first === bodyHash) return;
  throw new DroverError(
    'idempotency_key_reused',
    'This Idempotency-Key was used for a request with another body.',
    { param: 'idempotency-key' },
  );
}

/** Calls `leave` when the connection closes before the answer was written to it, at once if it has already. */
export function whenReaderLeaves({ raw }: FastifyReply, leave: () => void): void {
  if (raw.destroyed) leave();
  else raw.once('close', () => raw.writableFinished || leave());
}

/** The reader left before the end: there is nobody to answer. */
export function abandon({ exchange, reply }: Delivery): void {
  exchange.abandoned();
  if (!reply.sent) reply.hijack();
}
