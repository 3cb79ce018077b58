import { createRequire, syncBuiltinESMExports } from 'node:module';

/** Whoever an event happens to. What happens to the dead is skipped, what happens to the paused is kept for later. */
export type Owner = {
  readonly name: string;
  state: 'alive' | 'paused' | 'dead';
  /** Added to the wall clock: no two machines agree on the time. */
  readonly skewMs: number;
  /** What happened while it was paused. */
  readonly backlog: Task[];
};

export type Task = {
  atMs: number;
  order: number;
  readonly owner: Owner | undefined;
  readonly isTimer: boolean;
  run: () => void;
  cancelled: boolean;
};

/** Wall clock at the start of a run. */
export const epochMs = 1_900_000_000_000;

/**
 * Runs everything that waits in the microtask queue, now. Going once through the real event loop per event would take
 * longer than all the rest. Not inside a microtask: there it does nothing.
 */
const drainMicrotasks: () => void = (() => {
  const tick: unknown = Reflect.get(process, '_tickCallback');
  if (typeof tick !== 'function') throw new Error('this Node cannot drain its microtasks on demand');
  return () => void Reflect.apply(tick, process, []);
})();

/** Runs `body` where microtasks can be drained. */
export const outsideMicrotasks = <T>(body: () => T): Promise<T> =>
  new Promise((resolve, reject) => {
    realSetImmediate(() => {
      try {
        resolve(body());
      } catch (error) {
        reject(error);
      }
    });
  });

const realSetImmediate = setImmediate;

/**
 * Virtual time: a heap of events, run one after the other, each with all the microtasks that follow from it. While it is
 * installed, every timer and clock of this process is its own, so that production code runs on it unchanged.
 */
export class VirtualClock {
  nowMs = 0;
  /** Whose code is running. */
  current: Owner | undefined;
  readonly #heap: Task[] = [];
  readonly #onThrow: (owner: Owner | undefined, error: unknown) => void;
  #order = 0;
  eventsRun = 0;

  constructor(onThrow: (owner: Owner | undefined, error: unknown) => void) {
    this.#onThrow = onThrow;
  }

  schedule(delayMs: number, owner: Owner | undefined, run: () => void, isTimer = false): Task {
    const task: Task = {
      atMs: this.nowMs + Math.max(0, delayMs),
      order: this.#order++,
      owner,
      isTimer,
      run,
      cancelled: false,
    };
    this.#push(task);
    return task;
  }

  /** Lets an event that was kept happen now, after those that were let go before it. */
  requeue(task: Task): void {
    task.atMs = this.nowMs;
    task.order = this.#order++;
    this.#push(task);
  }

  /** Runs `body` as the code of `owner`, with all that follows from it at once. */
  as(owner: Owner | undefined, body: () => void): void {
    const before = this.current;
    this.current = owner;
    try {
      body();
      drainMicrotasks();
    } catch (error) {
      this.#onThrow(owner, error);
    } finally {
      this.current = before;
    }
  }

  /** Runs events until `isOver` or until nothing happens any more before `untilMs`. */
  run(untilMs: number, isOver: () => boolean): void {
    while (!isOver()) {
      const task = this.#pop();
      if (!task || task.atMs > untilMs) {
        this.nowMs = Math.max(this.nowMs, Math.min(untilMs, task?.atMs ?? untilMs));
        return;
      }
      if (task.cancelled || task.owner?.state === 'dead') continue;
      this.nowMs = Math.max(this.nowMs, task.atMs);
      if (task.owner?.state === 'paused') {
        task.owner.backlog.push(task);
        continue;
      }
      this.eventsRun++;
      this.as(task.owner, task.run);
    }
  }

  /** Takes over the clocks and timers of this process, until disposed. */
  install(random: () => number): Disposable {
    const patches: [object, string, unknown][] = [];
    const patch = (target: object, key: string, value: unknown) => {
      patches.push([target, key, Object.getOwnPropertyDescriptor(target, key)]);
      Object.defineProperty(target, key, { value, configurable: true, writable: true, enumerable: true });
    };
    const timerOf = (delayMs: number | undefined, run: () => void, everyMs?: number) =>
      new VirtualTimer(this, this.current, delayMs ?? 1, run, everyMs);
    const clear = (timer: unknown) => {
      if (timer instanceof VirtualTimer) timer.close();
    };
    type Run = (...given: unknown[]) => void;
    patch(Date, 'now', () => Math.floor(epochMs + this.nowMs + (this.current?.skewMs ?? 0)));
    patch(performance, 'now', () => this.nowMs);
    patch(Math, 'random', random);
    patch(globalThis, 'setTimeout', (run: Run, delayMs?: number, ...given: unknown[]) =>
      timerOf(delayMs, () => run(...given)),
    );
    patch(globalThis, 'setInterval', (run: Run, delayMs?: number, ...given: unknown[]) =>
      timerOf(delayMs, () => run(...given), Math.max(1, delayMs ?? 1)),
    );
    patch(globalThis, 'setImmediate', (run: Run, ...given: unknown[]) => timerOf(0, () => run(...given)));
    for (const name of ['clearTimeout', 'clearInterval', 'clearImmediate']) patch(globalThis, name, clear);
    patch(AbortSignal, 'timeout', (delayMs: number) => {
      const controller = new AbortController();
      timerOf(delayMs, () => controller.abort(new Error('timeout')));
      return controller.signal;
    });
    patch(timersPromises, 'setTimeout', (delayMs: number, value?: unknown) => {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      timerOf(delayMs, () => resolve(value));
      return promise;
    });
    syncBuiltinESMExports();
    // What ends a process in production must not end the simulation.
    const others = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', (error) => this.#onThrow(this.current, error));
    return {
      [Symbol.dispose]: () => {
        process.removeAllListeners('unhandledRejection');
        for (const other of others) process.on('unhandledRejection', other);
        for (const [target, key, before] of patches.reverse()) {
          if (before) Object.defineProperty(target, key, before);
          else Reflect.deleteProperty(target, key);
        }
        syncBuiltinESMExports();
      },
    };
  }

  #push(task: Task): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(task);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (!above || isBefore(above, task)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = task;
  }

  #pop(): Task | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    let index = 0;
    while (true) {
      let child = 2 * index + 1;
      const right = heap[child + 1];
      let smaller = heap[child];
      if (!smaller) break;
      if (right && isBefore(right, smaller)) {
        smaller = right;
        child++;
      }
      if (isBefore(last, smaller)) break;
      heap[index] = smaller;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

const timersPromises: object = createRequire(import.meta.url)('node:timers/promises');

const isBefore = (a: Task, b: Task): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

/** What `setTimeout` and `setInterval` give, as far as it is used. */
class VirtualTimer {
  readonly #clock: VirtualClock;
  readonly #owner: Owner | undefined;
  readonly #delayMs: number;
  readonly #everyMs: number | undefined;
  readonly #run: () => void;
  #task: Task;

  constructor(
    clock: VirtualClock,
    owner: Owner | undefined,
    delayMs: number,
    run: () => void,
    everyMs?: number,
  ) {
    this.#clock = clock;
    this.#owner = owner;
    this.#delayMs = delayMs;
    this.#everyMs = everyMs;
    this.#run = run;
    this.#task = this.#schedule(delayMs);
  }

  #schedule(delayMs: number): Task {
    return this.#clock.schedule(
      delayMs,
      this.#owner,
      () => {
        // Before the callback, which may clear it.
        if (this.#everyMs !== undefined) this.#task = this.#schedule(this.#everyMs);
        this.#run();
      },
      true,
    );
  }

  refresh(): this {
    this.#task.cancelled = true;
    this.#task = this.#schedule(this.#delayMs);
    return this;
  }

  close(): this {
    this.#task.cancelled = true;
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}
