import { type Demand, demandTtlMs } from '@drover/schemas';
import type { BoundWaiting } from './bound-demand.ts';

/** What other schedulers hold that only some clusters could take, as they have said it lately. */
export class HeardDemand {
  readonly #schedulers = new Map<
    string,
    { readonly bound: readonly BoundWaiting[]; readonly atMs: number }
  >();

  hear({ scheduler, bound }: Demand, nowMs: number): void {
    if (bound.length === 0) this.#schedulers.delete(scheduler);
    else this.#schedulers.set(scheduler, { bound, atMs: nowMs });
  }

  waiting(nowMs: number): BoundWaiting[] {
    for (const [scheduler, { atMs }] of this.#schedulers)
      if (nowMs - atMs > demandTtlMs) this.#schedulers.delete(scheduler);
    return [...this.#schedulers.values()].flatMap(({ bound }) => bound);
  }
}
