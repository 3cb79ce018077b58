import { apiErrors, isApiError, type Nats } from '@drover/runtime';
import { natsHeaders, type Parsed, parseMessage } from '@drover/schemas';
import { JetStreamApiError, type StoredMsg } from '@nats-io/jetstream';
import { headers } from 'nats';
import type { z } from 'zod';
import { CliError } from '../errors.ts';

/** A key of a bucket as it stands. */
export type Entry<T> = {
  readonly key: string;
  readonly value: T;
  readonly revision: number;
  readonly setAtMs: number;
};

const streamOf = (bucket: string): string => `KV_${bucket}`;
const subjectOf = (bucket: string, key: string): string => `$KV.${bucket}.${key}`;
const kvOperation = 'KV-Operation';
/** Status of a direct read that matches nothing. */
const noMessages = 404;

/** The keys of a bucket that match a pattern. A value that does not parse is left out: nobody acts on it either. */
export async function readKeys<T>(
  nats: Nats,
  bucket: string,
  pattern: string,
  schema: z.ZodType<T>,
): Promise<Entry<T>[]> {
  const entries: Entry<T>[] = [];
  for (const message of await lastOfEach(nats, streamOf(bucket), subjectOf(bucket, pattern))) {
    const parsed = readValue(message, schema);
    if (!parsed?.ok) continue;
    entries.push({
      key: message.subject.slice(subjectOf(bucket, '').length),
      value: parsed.value,
      revision: message.seq,
      setAtMs: message.time.getTime(),
    });
  }
  return entries;
}

/** Undefined for the mark of a deleted key. */
const readValue = <T>(message: StoredMsg, schema: z.ZodType<T>): Parsed<T> | undefined =>
  message.header.get(kvOperation) === '' ? parseMessage(schema, message.data) : undefined;

/** The last message on every subject that matches. */
export async function lastOfEach(nats: Nats, stream: string, filter: string): Promise<StoredMsg[]> {
  const found: StoredMsg[] = [];
  try {
    for await (const message of await nats.jsm.direct.getLastMessagesFor(stream, { multi_last: [filter] }))
      found.push(message);
  } catch (error) {
    if (!isApiError(error, noMessages)) throw error;
  }
  return found;
}

/** The revision of a key, the mark of a deleted one included; 0 when there was never one. */
export async function revisionOf(nats: Nats, bucket: string, key: string): Promise<number> {
  const last = await nats.jsm.direct.getMessage(streamOf(bucket), { last_by_subj: subjectOf(bucket, key) });
  return last?.seq ?? 0;
}

/** Writes a key if it is still at `revision`, with who did it. @throws CliError `conflict` when somebody was faster */
export async function putKey(
  nats: Nats,
  bucket: string,
  key: string,
  value: unknown,
  { revision, by }: { revision: number; by: string },
): Promise<number> {
  return write(nats, bucket, key, JSON.stringify(value), revision, [natsHeaders.by, by]);
}

/** Deletes a key; its history stays. @throws CliError `conflict` when somebody was faster */
export const deleteKey = (nats: Nats, bucket: string, key: string, revision: number): Promise<number> =>
  write(nats, bucket, key, '', revision, [kvOperation, 'DEL']);

async function write(
  nats: Nats,
  bucket: string,
  key: string,
  data: string,
  revision: number,
  [header, text]: readonly [string, string],
): Promise<number> {
  const about = headers();
  about.set(header, text.replace(/[^\x20-\x7e]+/g, '?'));
  try {
    const ack = await nats.js.publish(subjectOf(bucket, key), data, {
      headers: about,
      expect: { lastSubjectSequence: revision },
    });
    return ack.seq;
  } catch (error) {
    if (error instanceof JetStreamApiError && isApiError(error, apiErrors.wrongLastSequence))
      throw new CliError('conflict', `${key} was changed by somebody else meanwhile: look again`);
    throw error;
  }
}
