import { apiErrors, isApiError, type Nats } from '@drover/runtime';
import { parseMessage, type Reply, reply, streams, subjects } from '@drover/schemas';
import { AckPolicy, type Consumer } from '@nats-io/jetstream';
import { nanos, nuid } from 'nats';

const patienceMs = 2_000;
/** The server drops a consumer that nobody reads from: nobody needs to delete it. */
const inactiveMs = 10_000;

/**
 * What was said about a request before this owner. It can get ready while the claim is still under way: a stream that waits for
 * its next token is spared a round trip.
 */
export class History {
  readonly #nats: Nats;
  readonly #subject: string;
  #opened: Promise<Consumer | undefined> = Promise.resolve(undefined);
  #openedMs = Number.NEGATIVE_INFINITY;

  constructor(nats: Nats, tenant: string, id: string) {
    this.#nats = nats;
    this.#subject = subjects.reply('*', tenant, id);
  }

  /** It will be read soon. What cannot be made ready now is made when it is needed. */
  prepare(): void {
    this.#openedMs = performance.now();
    this.#opened = this.#open().catch(() => undefined);
  }

  /**
   * All replies that are still stored, up to this owner's own `claim` message. A claim that does not show up (it was published
   * plainly, and may be lost) ends the reading after two seconds. Where the stream is gone, nothing is known to have been said.
   * @throws when JetStream does not answer
   */
  async upTo(fence: number): Promise<Reply[]> {
    try {
      const isFresh = performance.now() - this.#openedMs < inactiveMs / 2;
      const opened = isFresh ? await this.#opened : undefined;
      return await read(opened ?? (await this.#open()), fence);
    } catch (error) {
      if (isApiError(error, apiErrors.streamNotFound)) return [];
      throw error;
    }
  }

  async #open(): Promise<Consumer> {
    const info = await this.#nats.jsm.consumers.add(streams.replies.name, {
      name: nuid.next(),
      filter_subject: this.#subject,
      ack_policy: AckPolicy.None,
      mem_storage: true,
      inactive_threshold: nanos(inactiveMs),
    });
    return this.#nats.js.consumers.getConsumerFromInfo(info);
  }
}

async function read(consumer: Consumer, fence: number): Promise<Reply[]> {
  const replies: Reply[] = [];
  const messages = await consumer.fetch({
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
