import { isApiError, type Logger, type Nats, publishFenced } from '@drover/runtime';
import { type ClusterId, parseMessage, streams, subjects, type Wake, wake, wakeTtlMs } from '@drover/schemas';

const stream = streams.wakes.name;

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
    const messages = await nats.jsm.direct.getLastMessagesFor(stream, {
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

/**
 * What one leader says about which nodes are wanted, under the token of its lease. A leader that was deposed can neither
 * write over what its successor has said nor take it back: it writes with its token, and removes only the very message that
 * it has written itself.
 */
export class WakeWriter {
  readonly nats: Nats;
  /** The sequence of what this process has last written on each subject. */
  readonly #written = new Map<string, number>();

  constructor(nats: Nats) {
    this.nats = nats;
  }

  /** Says that a node is wanted, or still is. False when a later leader has said something about it. */
  async write(wanted: Wake, token: number): Promise<boolean> {
    const subject = subjects.wake(wanted.cluster, wanted.node);
    this.#written.delete(subject);
    const seq = await publishFenced(this.nats, stream, subject, JSON.stringify(wanted), token, {
      ttlMs: wakeTtlMs,
    });
    if (seq === null) return false;
    this.#written.set(subject, seq);
    return true;
  }

  /**
   * Says that a node is not wanted any more. What this process has not written last it makes its own first, which is where
   * one that was deposed is refused. Deleting by sequence is a compare-and-set: what somebody has written since has another
   * one. False when a later leader has said something about the node, or nobody knows: then it is still wanted.
   * @throws when JetStream does not answer
   */
  async remove(cluster: ClusterId, node: number, token: number, nowMs: number): Promise<boolean> {
    const subject = subjects.wake(cluster, node);
    if (!this.#written.has(subject) && !(await this.write({ v: 1, cluster, node, sinceMs: nowMs }, token)))
      return false;
    const seq = this.#written.get(subject);
    if (seq === undefined) return false;
    const removed = await deleteExactly(this.nats, seq);
    this.#written.delete(subject);
    return removed;
  }
}

/** JetStream's codes for a message that is not there (any more). */
const notThere = [10_043, 10_057];

/** False when that message is not there any more. @throws when JetStream does not answer */
async function deleteExactly(nats: Nats, seq: number): Promise<boolean> {
  try {
    return await nats.jsm.streams.deleteMessage(stream, seq, false);
  } catch (error) {
    if (notThere.some((code) => isApiError(error, code))) return false;
    throw error;
  }
}
