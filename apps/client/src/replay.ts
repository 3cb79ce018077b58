import type { Nats } from '@drover/runtime';
import { parseMessage, type Reply, reply, streams, subjects } from '@drover/schemas';
import { AckPolicy, DeliverPolicy } from '@nats-io/jetstream';
import { nanos, nuid } from 'nats';

const batch = 1_000;

/** Everything that LLM_REPLIES still holds of a request, in the order of the stream. Messages that do not parse are left out. */
export async function replay(nats: Nats, tenant: string, id: string): Promise<Reply[]> {
  const info = await nats.jsm.consumers.add(streams.replies.name, {
    name: nuid.next(),
    filter_subject: subjects.reply('*', tenant, id),
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.All,
    mem_storage: true,
    inactive_threshold: nanos(10_000),
  });
  const replies: Reply[] = [];
  let outstanding = info.num_pending;
  const consumer = nats.js.consumers.getConsumerFromInfo(info);
  while (outstanding > 0) {
    const before = outstanding;
    for await (const message of await consumer.fetch({
      max_messages: Math.min(batch, outstanding),
      expires: 2_000,
    })) {
      const parsed = parseMessage(reply, message.data);
      if (parsed.ok) replies.push(parsed.value);
      outstanding--;
    }
    // Messages can age out of the stream between the count and the fetch.
    if (outstanding === before) break;
  }
  await nats.jsm.consumers.delete(streams.replies.name, info.name).catch(() => {});
  return replies;
}
