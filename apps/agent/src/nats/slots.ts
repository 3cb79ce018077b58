import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger, Nats } from '@drover/runtime';
import { jobConsumer } from '@drover/schemas';
import type { Consumer, ConsumerMessages, JsMsg } from '@nats-io/jetstream';

const pull = { max_messages: 1, expires: 5_000, idle_heartbeat: 1_000 };
const backOffMs = 200;
const backOffMaxMs = 5_000;
/**
 * When a job comes to a slot that rests. Given back at once it would be delivered to the next open pull of this agent, and the
 * next: an agent with many idle slots would use up all its deliveries. Long enough that the pulls, which stand for 5 s, cannot.
 */
const restingDelayMs = 1_000;

/**
 * One loop per free slot, each with one pull open: a job is taken only when it can start. Loops rest while the backend
 * is not ready; a job that a resting loop's last pull still brings is given back.
 */
export class Slots {
  readonly #nats: Nats;
  readonly #log: Logger;
  readonly #cluster: string;
  /** Runs a job; resolves when its slot is free again. Never rejects. */
  readonly #work: (message: JsMsg) => Promise<void>;
  readonly #loops = new Set<number>();
  readonly #pulls = new Set<ConsumerMessages>();
  #wanted = 0;
  #consumer: Promise<Consumer> | undefined;

  constructor(options: {
    nats: Nats;
    log: Logger;
    cluster: string;
    work: (message: JsMsg) => Promise<void>;
  }) {
    this.#nats = options.nats;
    this.#log = options.log;
    this.#cluster = options.cluster;
    this.#work = options.work;
  }

  /**
   * From now on, jobs are pulled for this many slots; 0 to rest. An open pull is left to expire: the server would still
   * send the next job to one that was dropped, and that job would wait for its ack wait.
   */
  open(slots: number): void {
    this.#wanted = slots;
    for (let slot = 0; slot < slots; slot++) {
      if (this.#loops.has(slot)) continue;
      this.#loops.add(slot);
      void this.#loop(slot);
    }
  }

  /** Rests for good, and forgets the pulls that are open. Only before the connection is closed: see `open`. */
  close(): void {
    this.open(0);
    for (const messages of this.#pulls) messages.stop();
  }

  async #loop(slot: number): Promise<void> {
    let backOff = backOffMs;
    while (slot < this.#wanted) {
      let message: JsMsg | null;
      try {
        message = await this.#pull();
        backOff = backOffMs;
      } catch (error) {
        if (slot >= this.#wanted) break;
        // No consumer yet, no JetStream, a cut link: it comes back, or the reports say that nobody is here.
        this.#log.warn({ error: String(error) }, 'pull failed');
        await sleep(backOff * (1 + Math.random()));
        backOff = Math.min(2 * backOff, backOffMaxMs);
        continue;
      }
      if (message === null) continue;
      if (slot < this.#wanted) await this.#work(message);
      else message.nak(restingDelayMs);
    }
    this.#loops.delete(slot);
  }

  async #pull(): Promise<JsMsg | null> {
    const { stream, name } = jobConsumer(this.#cluster);
    this.#consumer ??= this.#nats.js.consumers.get(stream, name);
    let messages: ConsumerMessages | undefined;
    try {
      messages = await (await this.#consumer).fetch(pull);
      this.#pulls.add(messages);
      for await (const message of messages) return message;
      return null;
    } catch (error) {
      this.#consumer = undefined;
      throw error;
    } finally {
      if (messages) this.#pulls.delete(messages);
    }
  }
}
