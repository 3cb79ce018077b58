import type { ConsumerDefinition } from '@drover/schemas';
import type { Task, VirtualClock } from '../clock.ts';
import type { Link } from '../link.ts';
import type { Stored, StreamModel } from './stream.ts';
import { matches } from './subject.ts';

export type Delivery = { readonly message: Stored; readonly count: number };

/** A pull that waits at the hub for messages. */
export type Pull = {
  readonly link: Link;
  /** How many it still wants; 0 when it is over. */
  wanted: number;
  deliver(delivery: Delivery): void;
};

export type AckKind = 'ack' | 'nak' | 'working' | 'term';

type Pending = { count: number; timer: Task };

/**
 * A durable pull consumer of a work queue: what was delivered and not acknowledged within the ack wait is delivered again,
 * up to max deliver times; after that an advisory tells, and the message stays. As with JetStream, acks, naks and
 * `working` of an earlier delivery count like those of the latest.
 */
export class ConsumerModel {
  readonly definition: ConsumerDefinition;
  readonly #stream: StreamModel;
  readonly #clock: VirtualClock;
  readonly #isAway: () => boolean;
  readonly #onDead: (seq: number, deliveries: number) => void;
  readonly #pending = new Map<number, Pending>();
  readonly #counts = new Map<number, number>();
  readonly #again: number[] = [];
  #pulls: Pull[] = [];
  #nextSeq = 1;

  constructor(
    definition: ConsumerDefinition,
    stream: StreamModel,
    clock: VirtualClock,
    isAway: () => boolean,
    onDead: (seq: number, deliveries: number) => void,
  ) {
    this.definition = definition;
    this.#stream = stream;
    this.#clock = clock;
    this.#isAway = isAway;
    this.#onDead = onDead;
  }

  pull(pull: Pull): void {
    this.#pulls.push(pull);
    this.dispatch();
  }

  /** The pulls of a connection end with it. */
  forget(link: Link): void {
    this.#pulls = this.#pulls.filter((one) => one.link !== link);
  }

  /** Gives waiting pulls what there is for them. */
  dispatch(): void {
    if (this.#isAway()) return;
    while (true) {
      this.#pulls = this.#pulls.filter(({ wanted }) => wanted > 0);
      const pull = this.#pulls[0];
      if (!pull || this.#pending.size >= this.definition.maxAckPending) return;
      const message = this.#next();
      if (!message) return;
      pull.wanted--;
      pull.deliver({ message, count: this.#deliver(message.seq) });
      // Whoever asked first has been served and queues up behind the others.
      this.#pulls.push(...this.#pulls.splice(0, 1));
    }
  }

  acknowledge(seq: number, kind: AckKind, delayMs = 0): void {
    if (this.#isAway()) return;
    switch (kind) {
      case 'ack':
      case 'term':
        this.settle(seq);
        this.#stream.delete(seq);
        break;
      case 'working':
        this.#postpone(seq, this.definition.ackWaitMs);
        break;
      case 'nak':
        this.#postpone(seq, delayMs);
        break;
    }
    this.dispatch();
  }

  /** Forgets a message that is no longer in the stream. */
  settle(seq: number): void {
    const pending = this.#pending.get(seq);
    if (pending) pending.timer.cancelled = true;
    this.#pending.delete(seq);
    this.#counts.delete(seq);
  }

  #postpone(seq: number, delayMs: number): void {
    const pending = this.#pending.get(seq);
    if (!pending) return;
    pending.timer.cancelled = true;
    pending.timer = this.#clock.schedule(delayMs, undefined, () => this.#expire(seq));
  }

  #deliver(seq: number): number {
    const count = (this.#counts.get(seq) ?? 0) + 1;
    this.#counts.set(seq, count);
    const timer = this.#clock.schedule(this.definition.ackWaitMs, undefined, () => this.#expire(seq));
    this.#pending.set(seq, { count, timer });
    return count;
  }

  #expire(seq: number): void {
    const pending = this.#pending.get(seq);
    if (!pending) return;
    this.#pending.delete(seq);
    const { maxDeliver } = this.definition;
    if (maxDeliver > 0 && pending.count >= maxDeliver) this.#onDead(seq, pending.count);
    else this.#again.push(seq);
    this.dispatch();
  }

  #wants(subject: string): boolean {
    const { filter, alsoFilter } = this.definition;
    return matches(filter, subject) || (alsoFilter !== undefined && matches(alsoFilter, subject));
  }

  #next(): Stored | undefined {
    while (this.#again.length > 0) {
      const seq = this.#again.shift();
      const message = seq === undefined ? undefined : this.#stream.get(seq);
      if (message) return message;
    }
    for (const message of this.#stream.messages) {
      if (message.seq < this.#nextSeq || !this.#wants(message.subject)) continue;
      this.#nextSeq = message.seq + 1;
      return message;
    }
    return undefined;
  }
}
