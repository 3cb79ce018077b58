import { isApiError, type Logger, type Nats, publishFenced } from '@drover/runtime';
import { type ClusterId, parseMessage, streams, subjects, type Wake, wake, wakeTtlMs } from '@drover/schemas';
import { deleteMessage } from './jobs.ts';

/** Hears which nodes are wanted, from now on. */
export function subscribeWakes(nats: Nats, onWake: (wake: Wake) => void, log: Logger): void {
  nats.nc.subscribe(subjects.wake('*', '*'), {
    callback: (error, message) => {
      if (error) return log.error({ error: error.message }, 'wakes cannot be heard');
      const parsed = parseMessage(wake, message.data);
      if (parsed.ok && message.subject === subjects.wake(parsed.value.cluster, parsed.value.node))
        onWake(parsed.value);
    },
  });
}

/** Every node that is wanted now. @throws when JetStream does not answer */
export async function readWakes(nats: Nats): Promise<Wake[]> {
  const found: Wake[] = [];
  try {
    const messages = await nats.jsm.direct.getLastMessagesFor(streams.wakes.name, {
      multi_last: [subjects.wake('*', '*')],
    });
    for await (const message of messages) {
      const parsed = parseMessage(wake, message.data);
      if (parsed.ok) found.push(parsed.value);
    }
  } catch (error) {
    if (!isApiError(error, noMessages)) throw error;
  }
  return found;
}

/** Status of a direct read that matches nothing. */
const noMessages = 404;

/** Says that a node is wanted, or still is. False when a later leader has said something about it. */
export async function writeWake(nats: Nats, wanted: Wake, token: number): Promise<boolean> {
  const subject = subjects.wake(wanted.cluster, wanted.node);
  const seq = await publishFenced(nats, streams.wakes.name, subject, JSON.stringify(wanted), token, {
    ttlMs: wakeTtlMs,
  });
  return seq !== null;
}

/** A node is not wanted any more. */
export async function removeWake(nats: Nats, cluster: ClusterId, node: number): Promise<void> {
  const last = await nats.jsm.direct.getMessage(streams.wakes.name, {
    last_by_subj: subjects.wake(cluster, node),
  });
  if (last) await deleteMessage(nats, streams.wakes.name, last.seq);
}
