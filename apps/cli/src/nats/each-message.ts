import type { Nats } from '@drover/runtime';
import { AckPolicy, DeliverPolicy, type JsMsg } from '@nats-io/jetstream';
import { nanos, nuid } from 'nats';

/** One pull: enough that the way there and back does not count, and no more than fits in memory easily. */
const batch = 500;
const patienceMs = 5_000;

/**
 * Calls `onMessage` with everything on the subjects that match `filter` that a stream holds now and has stored since a time,
 * oldest first; keeps none of it, so a large stream can be read. @throws when JetStream does not answer, or delivers less than it said
 */
export async function eachMessage(
  nats: Nats,
  stream: string,
  filter: string,
  sinceMs: number,
  onMessage: (message: JsMsg) => void,
): Promise<void> {
  const info = await nats.jsm.consumers.add(stream, {
    name: nuid.next(),
    filter_subject: filter,
    ack_policy: AckPolicy.None,
    mem_storage: true,
    deliver_policy: DeliverPolicy.StartTime,
    opt_start_time: new Date(sinceMs).toISOString(),
    // Nobody needs to delete it.
    inactive_threshold: nanos(10_000),
  });
  const consumer = nats.js.consumers.getConsumerFromInfo(info);
  let left = info.num_pending;
  while (left > 0) {
    const wanted = Math.min(left, batch);
    let got = 0;
    for await (const message of await consumer.fetch({ max_messages: wanted, expires: patienceMs })) {
      onMessage(message);
      if (++got === wanted) break;
    }
    if (got === 0) throw new Error(`${stream} delivered ${left} messages less than it said`);
    left -= got;
  }
}
