import type { Logger, Nats } from '@drover/runtime';
import type { JsMsg } from '@nats-io/jetstream';

const triesMax = 5;
const timeoutMs = 2_000;

/**
 * Acks that the server confirms. They happen after the slot is free again, and are waited for at the stop. One that
 * never gets through costs a redelivery, which finds the request ended.
 */
export class Acks {
  readonly #nats: Nats;
  readonly #log: Logger;
  #open = 0;

  constructor(nats: Nats, log: Logger) {
    this.#nats = nats;
    this.#log = log;
  }

  /** How many have not been confirmed yet. */
  get open(): number {
    return this.#open;
  }

  ack(message: JsMsg): void {
    this.#open++;
    void this.#ack(message).finally(() => {
      this.#open--;
    });
  }

  async #ack(message: JsMsg): Promise<void> {
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      try {
        // The first marks the message, and would not send again.
        if (attempt === 1) await message.ackAck({ timeout: timeoutMs });
        else await this.#nats.nc.request(replyOf(message), '+ACK', { timeout: timeoutMs });
        return;
      } catch (error) {
        this.#log.warn({ subject: message.subject, error: String(error) }, 'ack not confirmed');
      }
    }
  }
}

/** The ack subject, which the type of JetStream messages does not show. */
const replyOf = (message: JsMsg & { reply?: string }): string => message.reply ?? '';
