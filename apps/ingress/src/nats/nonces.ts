import { hash, randomUUID } from 'node:crypto';
import { type Nats, publishIfLast } from '@drover/runtime';
import { DroverError, streams, subjects } from '@drover/schemas';

/**
 * Uses up the nonce of a signature, for every ingress at once; false when it has been used. LLM_NONCES remembers it for
 * as long as the signature could be valid.
 * @throws DroverError `unavailable` when JetStream does not answer: accepting the signature would allow a replay
 */
export async function useNonce(nats: Nats, key: string, nonce: string): Promise<boolean> {
  const subject = subjects.nonce(hash('sha256', `${key}\n${nonce}`, 'hex'));
  try {
    // The content tells our own publish, if its answer was lost, from another's.
    const seq = await publishIfLast(nats, streams.nonces.name, subject, randomUUID(), {
      guard: subject,
      lastSeq: 0,
      giveUpAfterMs: 3_000,
    });
    return seq !== null;
  } catch (cause) {
    throw new DroverError('unavailable', 'The nonce could not be checked; try again.', {
      cause,
      retryAfterSeconds: 2,
    });
  }
}
