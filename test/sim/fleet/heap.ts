type Entry<T> = { readonly atMs: number; readonly order: number; readonly value: T };

/** What is to happen, the earliest first; of the same time, what was planned first. */
export class Agenda<T> {
  readonly #entries: Entry<T>[] = [];
  #planned = 0;

  plan(atMs: number, value: T): void {
    const entries = this.#entries;
    entries.push({ atMs, order: this.#planned++, value });
    for (let index = entries.length - 1; index > 0; ) {
      const parent = (index - 1) >> 1;
      if (!this.#swapIfEarlier(index, parent)) break;
      index = parent;
    }
  }

  next(): { atMs: number; value: T } | undefined {
    const entries = this.#entries;
    const first = entries[0];
    const last = entries.pop();
    if (!first || !last) return undefined;
    if (entries.length > 0) {
      entries[0] = last;
      this.#sink();
    }
    return first;
  }

  #sink(): void {
    for (let index = 0; ; ) {
      const left = 2 * index + 1;
      const child = this.#isEarlier(left + 1, left) ? left + 1 : left;
      if (!this.#swapIfEarlier(child, index)) return;
      index = child;
    }
  }

  #isEarlier(one: number, other: number): boolean {
    const a = this.#entries[one];
    const b = this.#entries[other];
    if (!a || !b) return false;
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  }

  #swapIfEarlier(one: number, other: number): boolean {
    const a = this.#entries[one];
    const b = this.#entries[other];
    if (!a || !b || !this.#isEarlier(one, other)) return false;
    this.#entries[one] = b;
    this.#entries[other] = a;
    return true;
  }
}
