import { type Priority, priorities, type RequestId } from '@drover/schemas';
import type { Waiting } from './types.ts';

/** The requests that this scheduler holds, per band, the nearest deadline first, then the longest wait. */
export class WaitingQueue {
  readonly #bands: Record<Priority, Waiting[]> = { interactive: [], standard: [], batch: [] };
  readonly #byId = new Map<RequestId, Waiting>();

  get size(): number {
    return this.#byId.size;
  }

  get(id: RequestId): Waiting | undefined {
    return this.#byId.get(id);
  }

  /** Adds a request; one with the same id is replaced. */
  add(waiting: Waiting): void {
    this.remove(waiting.id);
    this.#byId.set(waiting.id, waiting);
    const band = this.#bands[waiting.request.priority];
    band.splice(firstAfter(band, waiting), 0, waiting);
  }

  remove(id: RequestId): Waiting | undefined {
    const waiting = this.#byId.get(id);
    if (!waiting) return undefined;
    this.#byId.delete(id);
    const band = this.#bands[waiting.request.priority];
    band.splice(band.indexOf(waiting), 1);
    return waiting;
  }

  /** A band in its order. */
  band(priority: Priority): readonly Waiting[] {
    return this.#bands[priority];
  }

  /** Requests whose deadline has passed. */
  expired(nowMs: number): Waiting[] {
    return priorities.flatMap((priority) => {
      const band = this.#bands[priority];
      const alive = band.findIndex(({ request }) => request.deadlineAtMs > nowMs);
      return alive < 0 ? [...band] : band.slice(0, alive);
    });
  }

  /** Requests that have a job somewhere and should leave it. */
  moving(): Waiting[] {
    return [...this.#byId.values()].filter(({ previous }) => previous !== undefined);
  }
}

function firstAfter(band: readonly Waiting[], waiting: Waiting): number {
  let low = 0;
  let high = band.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = band[middle];
    if (other && isBefore(waiting, other)) high = middle;
    else low = middle + 1;
  }
  return low;
}

const isBefore = (a: Waiting, b: Waiting): boolean =>
  a.request.deadlineAtMs !== b.request.deadlineAtMs
    ? a.request.deadlineAtMs < b.request.deadlineAtMs
    : a.arrivedAtMs < b.arrivedAtMs;
