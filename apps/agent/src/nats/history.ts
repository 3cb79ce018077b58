import { apiErrors, isApiError, type Nats } from '@drover/runtime';
import { parseMessage, type Reply, reply, streams, subjects } from '@drover/schemas';
import { AckPolicy } from '@nats-io/jetstream';
import { nanos, nuid } from 'nats';

const patienceMs = 2_000;

/**
 * What was said about a request so far: all replies that are still stored, up to this owner's own `claim` message.
 * A claim that does not show up (it was published plainly, and may be lost) ends the reading after two seconds. The
 * stream lives in memory: where it is gone, nothing is known to have been said.
 */
export async function readHistory(nats: Nats, tenant: string, id: string, fence: number): Promise<Reply[]> {
  try {
    return await read(nats, subjects.reply('*', tenant, id), fence);
  } catch (error) {
    if (isApiError(error, apiErrors.streamNotFound)) return [];
    throw error;
  }
}

async function read(nats: Nats, subject: string, fence: number): Promise<Reply[]> {
  const info = await nats.jsm.consumers.add(streams.replies.name, {
    name: nuid.next(),
    filter_subject: subject,
    ack_policy: AckPolicy.None,
    mem_storage: true,
    // Nobody needs to delete it.
    inactive_threshold: nanos(10_000),
  });
  const replies: Reply[] = [];
  const messages = await nats.js.consumers.getConsumerFromInfo(info).fetch({
    max_messages: streams.replies.maxMsgsPerSubject * 4,
    expires: patienceMs,
  });
  for await (const message of messages) {
    const parsed = parseMessage(reply, message.data);
    if (!parsed.ok) continue;
    replies.push(parsed.value);
    if (parsed.value.k === 'claim' && parsed.value.f >= fence) break;
  }
  return replies;
}
