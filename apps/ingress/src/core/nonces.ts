/**
 * The nonces of signatures that are still in their window, so that a signature works once. Two generations: a nonce is
 * remembered for at least `lifeMs` and at most twice as long, without a timer per nonce.
 */
export class Nonces {
  readonly #lifeMs: number;
  readonly #max: number;
  #current = new Set<string>();
  #previous = new Set<string>();
  #currentSinceMs = 0;

  /** @param max nonces per generation; beyond it nothing can be promised, so everything is refused */
  constructor(lifeMs: number, max: number) {
    this.#lifeMs = lifeMs;
    this.#max = max;
  }

  /** `fresh` the first time. `full` when it cannot be remembered: accepting it would allow a replay. */
  use(nonce: string, nowMs: number): 'fresh' | 'seen' | 'full' {
    this.#age(nowMs);
    if (this.#current.has(nonce) || this.#previous.has(nonce)) return 'seen';
    if (this.#current.size >= this.#max) return 'full';
    this.#current.add(nonce);
    return 'fresh';
  }

  #age(nowMs: number): void {
    const ageMs = nowMs - this.#currentSinceMs;
    if (ageMs < this.#lifeMs) return;
    this.#previous = ageMs < 2 * this.#lifeMs ? this.#current : new Set();
    this.#current = new Set();
    this.#currentSinceMs = nowMs;
  }
}
