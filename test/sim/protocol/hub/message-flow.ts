/** What a fetch of a short-lived consumer asks of the hub. */
export type Follow = {
  readonly stream: string;
  readonly filter: string;
  readonly wanted: number;
  readonly expiresMs: number;
  fromSeq(): number;
  onRead(seq: number): void;
};

/** A queue with one reader, as the client library's iterators: what comes after the reader left is dropped. */
export class MessageFlow<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  readonly #onEnd: (() => void)[] = [];
  #isEnded = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  push(item: T): void {
    if (this.#isEnded) return;
    this.#items.push(item);
    this.#wake?.();
  }

  end(error?: Error): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#error = error;
    for (const listener of this.#onEnd) listener();
    this.#wake?.();
  }

  onEnd(listener: () => void): void {
    this.#onEnd.push(listener);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    try {
      while (true) {
        const item = this.#items.shift();
        if (item !== undefined) yield item;
        else if (this.#error) throw this.#error;
        else if (this.#isEnded) return;
        else {
          const { promise, resolve } = Promise.withResolvers<void>();
          this.#wake = resolve;
          await promise;
        }
      }
    } finally {
      this.end();
    }
  }
}
