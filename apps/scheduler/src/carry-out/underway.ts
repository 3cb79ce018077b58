import type { Logger } from '@drover/runtime';

/** Conversations with JetStream that have begun and not ended. */
export class Underway {
  readonly #log: Logger;
  readonly #actions = new Set<Promise<void>>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Begins one. What it did not foresee is logged; reconciliation mends it. */
  run(action: () => Promise<void>): void {
    const running: Promise<void> = action()
      .catch((error) => this.#log.warn({ error: String(error) }, 'not carried out'))
      .finally(() => this.#actions.delete(running));
    this.#actions.add(running);
  }

  /** Resolves when nothing is unfinished. Each is bounded by its time limits. */
  async settled(): Promise<void> {
    while (this.#actions.size > 0) await Promise.all(this.#actions);
  }
}
