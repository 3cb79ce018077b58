import { setTimeout as sleep } from 'node:timers/promises';
import { natsHeaders } from '@drover/schemas';
import { headers } from 'nats';
import { publishIfLast } from './compare-and-set.ts';
import type { Nats } from './nats.ts';

/** Each loss means that somebody else wrote meanwhile; only one of them has the lease. */
const roundsMax = 8;

/**
 * Publishes on a subject of a stream with direct access, unless a holder with a higher token has written there before.
 * The token travels in a header of the message; compare-and-set joins the look and the write. A subject of a bucket
 * (stream `KV_<bucket>`, subject `$KV.<bucket>.<key>`) works alike. The subject remembers the last token for as long as it
 * holds a message: once that is deleted or has run out, an earlier holder would be let in again.
 * @param options.ttlMs after which the server drops the message, where its stream allows that
 * @returns the sequence, or null when a later holder was there: this one has lost its lease
 * @throws when JetStream does not answer
 */
export async function publishFenced(
  nats: Nats,
  stream: string,
  subject: string,
  data: string,
  token: number,
  options: { ttlMs?: number } = {},
): Promise<number | null> {
  const about = headers();
  about.set(natsHeaders.fence, String(token));
  for (let round = 0; round < roundsMax; round++) {
    const last = await nats.jsm.direct.getMessage(stream, { last_by_subj: subject });
    if (last !== null && Number(last.header.get(natsHeaders.fence)) > token) return null;
    const seq = await publishIfLast(nats, stream, subject, data, {
      guard: subject,
      lastSeq: last?.seq ?? 0,
      headers: about,
      ...(options.ttlMs === undefined ? {} : { ttlMs: options.ttlMs }),
    });
    if (seq !== null) return seq;
    // A direct read may be answered by a replica that is a moment behind.
    await sleep(10 * (round + 1));
  }
  throw new Error(`${subject} is written by too many at once`);
}
