import { AckPolicy, type JsMsg } from '@nats-io/jetstream';
import { nanos, nuid } from 'nats';
import type { Nats } from './nats.ts';

/** How long the server may take to deliver what it has said it has. */
const patienceMs = 2_000;

/**
 * Everything that a stream holds now on the subjects that match `filter`, oldest first. Meant for few messages: all of them
 * are kept in memory. With `headersOnly` their bodies are left where they are. @throws when JetStream does not answer, or delivers less than it said
 */
export async function readSubject(
  nats: Nats,
  stream: string,
  filter: string,
  options: { headersOnly?: boolean } = {},
): Promise<JsMsg[]> {
  const info = await nats.jsm.consumers.add(stream, {
    name: nuid.next(),
    filter_subject: filter,
    ack_policy: AckPolicy.None,
    mem_storage: true,
    headers_only: options.headersOnly ?? false,
    // Nobody needs to delete it.
    inactive_threshold: nanos(10_000),
  });
  const wanted = info.num_pending;
  const found: JsMsg[] = [];
  if (wanted === 0) return found;
  const consumer = nats.js.consumers.getConsumerFromInfo(info);
  for await (const message of await consumer.fetch({ max_messages: wanted, expires: patienceMs })) {
    found.push(message);
    if (found.length === wanted) return found;
  }
  throw new Error(`${stream} delivered ${found.length} of ${wanted} messages on ${filter}`);
}
