import type { RequestId } from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';

/** The messages of the requests that this scheduler holds; each is acknowledged once its request is in other hands. */
export class HeldMessages {
  readonly #messages = new Map<RequestId, JsMsg>();

  get size(): number {
    return this.#messages.size;
  }

  has(id: RequestId): boolean {
    return this.#messages.has(id);
  }

  /** A redelivered message replaces the one before: only its acknowledgement still counts. */
  add(id: RequestId, message: JsMsg): void {
    this.#messages.set(id, message);
  }

  ack(id: RequestId): void {
    this.#messages.get(id)?.ack();
    this.#messages.delete(id);
  }

  /** Extends the ack wait of all. */
  keep(): void {
    for (const message of this.#messages.values()) message.working();
  }

  /** Gives all back, for another scheduler to take at once. */
  nakAll(): void {
    for (const message of this.#messages.values()) message.nak();
    this.#messages.clear();
  }
}
