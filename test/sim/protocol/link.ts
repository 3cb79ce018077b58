import type { Task, VirtualClock } from './clock.ts';
import type { SimProcess } from './process.ts';
import type { Random } from './random.ts';

/** What is on the way in one direction of one connection. */
class Lane {
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #owner: SimProcess | undefined;
  readonly #isStalled: () => boolean;
  readonly #held: Task[] = [];
  #lastMs = 0;
  #connection = { lostFromMs: Number.POSITIVE_INFINITY };

  constructor(clock: VirtualClock, random: Random, owner: SimProcess | undefined, isStalled: () => boolean) {
    this.#clock = clock;
    this.#random = random;
    this.#owner = owner;
    this.#isStalled = isStalled;
  }

  /** Whatever is sent arrives later, in order, unless the connection breaks before. */
  send(delayMaxMs: number, arrive: () => void): void {
    const connection = this.#connection;
    const sentMs = this.#clock.nowMs;
    this.#lastMs = Math.max(this.#lastMs, sentMs + this.#random.between(0.05, delayMaxMs));
    const task = this.#clock.schedule(this.#lastMs - sentMs, this.#owner, () => {
      if (sentMs >= connection.lostFromMs) return;
      if (this.#isStalled()) this.#held.push(task);
      else arrive();
    });
  }

  /** What was held back arrives, before anything that was sent later. */
  flow(): void {
    for (const task of this.#held.splice(0)) this.#clock.requeue(task);
  }

  /** The connection breaks: what was sent at `fromMs` or later is lost. */
  lose(fromMs: number): void {
    this.#held.length = 0;
    this.#connection.lostFromMs = fromMs;
    this.#connection = { lostFromMs: Number.POSITIVE_INFINITY };
    this.#lastMs = this.#clock.nowMs;
  }
}

/**
 * A process's connection to the hub: in order in each direction, with delays. It can break (what is on the way is lost),
 * or stall (nothing gets through, nothing is lost, nobody is told).
 */
export class Link {
  isUp = true;
  isStalled = false;
  /** Counts connections: an answer never crosses from one to the next. */
  generation = 0;
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #up: Lane;
  readonly #down: Lane;
  /** The slowest message takes so long. */
  delayMaxMs = 1;
  /** Called when it breaks (at both ends), comes back, or stalls. */
  readonly listeners = {
    broken: new Set<() => void>(),
    back: new Set<() => void>(),
    silent: new Set<() => void>(),
  };

  constructor(clock: VirtualClock, random: Random, process: SimProcess) {
    this.#clock = clock;
    this.#random = random;
    const stalled = () => this.isStalled;
    this.#up = new Lane(clock, random, undefined, stalled);
    this.#down = new Lane(clock, random, process, stalled);
  }

  /** To the hub. The client library drops what is sent while there is no connection. */
  toHub(arrive: () => void): void {
    if (this.isUp) this.#up.send(this.delayMaxMs, arrive);
  }

  /** To the process. */
  toProcess(arrive: () => void): void {
    if (this.isUp) this.#down.send(this.delayMaxMs, arrive);
  }

  break(): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.isStalled = false;
    this.generation++;
    this.#up.lose(this.#clock.nowMs - this.#random.between(0, 3));
    this.#down.lose(this.#clock.nowMs - this.#random.between(0, 3));
    for (const listener of [...this.listeners.broken]) listener();
  }

  mend(): void {
    if (this.isUp) return;
    this.isUp = true;
    for (const listener of [...this.listeners.back]) listener();
  }

  stall(): void {
    if (!this.isUp || this.isStalled) return;
    this.isStalled = true;
    for (const listener of [...this.listeners.silent]) listener();
  }

  flow(): void {
    if (!this.isStalled) return;
    this.isStalled = false;
    this.#up.flow();
    this.#down.flow();
  }

  /** The process is gone; the kernel may still deliver what it had sent. */
  close(): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.generation++;
    if (!this.isStalled) this.#up.lose(this.#clock.nowMs - this.#random.between(-1, 3));
    else this.#up.lose(0);
    this.#down.lose(0);
    for (const listener of [...this.listeners.broken]) listener();
  }
}
