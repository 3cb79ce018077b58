import type { Report } from '@drover/schemas';
import type { Attempt, StopReason } from './attempt.ts';

/** The attempts that hold a slot now. */
export class Running {
  readonly #attempts = new Set<Attempt>();
  readonly #onChange: () => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get all(): Iterable<Attempt> {
    return this.#attempts;
  }

  get size(): number {
    return this.#attempts.size;
  }

  /** The latest attempt of this agent at this request, when one holds a slot. */
  find(tenant: string, id: string): Attempt | undefined {
    return [...this.#attempts].findLast(
      ({ job: { request } }) => request.tenant === tenant && request.id === id,
    );
  }

  get inFlight(): Report['inFlight'] {
    return [...this.#attempts].map(({ job, number, outputTokens }) => ({
      id: job.request.id,
      attempt: number,
      outputTokens,
    }));
  }

  add(attempt: Attempt): void {
    this.#attempts.add(attempt);
    this.#onChange();
  }

  delete(attempt: Attempt): void {
    if (this.#attempts.delete(attempt)) this.#onChange();
  }

  /** Breaks off every attempt at this request. */
  stop(tenant: string, id: string, reason: StopReason): void {
    for (const attempt of this.#attempts) {
      const { request } = attempt.job;
      if (request.tenant === tenant && request.id === id) attempt.stop(reason);
    }
  }

  stopAll(reason: StopReason): void {
    for (const attempt of this.#attempts) attempt.stop(reason);
  }
}
