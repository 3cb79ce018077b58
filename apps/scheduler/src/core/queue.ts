import { type Priority, priorities, type RequestId, type TenantId } from '@drover/schemas';
import { TokenCounters } from './fairness.ts';
import type { Waiting } from './types.ts';

/** A deadline that is further away than this does not put a request behind those that came later. */
export const patienceMs = 30_000;

/** What one tenant has waiting in one band, the most urgent first. */
type Lane = Waiting[];

/**
 * The requests that this scheduler holds: bands, in each of them the tenants, and what each tenant has waiting, by
 * deadline. Adding and removing take the logarithm of a lane's length.
 */
export class WaitingQueue {
  readonly #bands: Record<Priority, Map<TenantId, Lane>> = {
    interactive: new Map(),
    standard: new Map(),
    batch: new Map(),
  };
  readonly #sizes: Record<Priority, number> = { interactive: 0, standard: 0, batch: 0 };
  readonly #byId = new Map<RequestId, Waiting>();
  readonly counters: TokenCounters;

  constructor(counters: TokenCounters = new TokenCounters()) {
    this.counters = counters;
  }

  get size(): number {
    return this.#byId.size;
  }

  sizeOf(priority: Priority): number {
    return this.#sizes[priority];
  }

  get(id: RequestId): Waiting | undefined {
    return this.#byId.get(id);
  }

  /** Adds a request; one with the same id is replaced. */
  add(waiting: Waiting): void {
    this.remove(waiting.id);
    this.#byId.set(waiting.id, waiting);
    const { priority, tenant } = waiting.request;
    const lanes = this.#bands[priority];
    const lane = lanes.get(tenant) ?? [];
    if (lane.length === 0) this.#returned(tenant, lanes);
    lanes.set(tenant, lane);
    lane.splice(firstAfter(lane, waiting), 0, waiting);
    this.#sizes[priority]++;
  }

  remove(id: RequestId): Waiting | undefined {
    const waiting = this.#byId.get(id);
    if (!waiting) return undefined;
    this.#byId.delete(id);
    const { priority, tenant } = waiting.request;
    const lanes = this.#bands[priority];
    const lane = lanes.get(tenant) ?? [];
    // Its equals in urgency are before the first one after it.
    lane.splice(lane.lastIndexOf(waiting, firstAfter(lane, waiting)), 1);
    if (lane.length === 0) lanes.delete(tenant);
    this.#sizes[priority]--;
    return waiting;
  }

  /** What waits in a band, by tenant. Do not keep: it changes with the queue. */
  lanes(priority: Priority): ReadonlyMap<TenantId, readonly Waiting[]> {
    return this.#bands[priority];
  }

  /** A band as one list, the most urgent first, whoever's it is. Takes time; for people and tests. */
  band(priority: Priority): readonly Waiting[] {
    return [...this.#bands[priority].values()].flat().sort(byUrgency);
  }

  /** Everything that waits, the longest-held first. */
  all(): Iterable<Waiting> {
    return this.#byId.values();
  }

  /** Requests whose deadline has passed. */
  expired(nowMs: number): Waiting[] {
    return priorities.flatMap((priority) =>
      [...this.#bands[priority].values()].flatMap((lane) => {
        // A deadline within the patience is the urgency itself; one beyond it cannot have passed before it came first.
        const alive = lane.findIndex((waiting) => urgencyMs(waiting) > nowMs);
        const due = alive < 0 ? lane : lane.slice(0, alive);
        return due.filter(({ request }) => request.deadlineAtMs <= nowMs);
      }),
    );
  }

  /** Requests that have a job somewhere and should leave it. */
  moving(): Waiting[] {
    return [...this.#byId.values()].filter(({ previous }) => previous !== undefined);
  }

  #returned(tenant: TenantId, lanes: ReadonlyMap<TenantId, Lane>): void {
    const elsewhere = priorities.some((priority) => this.#bands[priority].has(tenant));
    if (!elsewhere) this.counters.lift(tenant, lanes.keys());
  }
}

/** Earliest deadline first, but nobody is overtaken for longer than the patience. */
const urgencyMs = ({ request, arrivedAtMs }: Waiting): number =>
  Math.min(request.deadlineAtMs, arrivedAtMs + patienceMs);

function firstAfter(lane: readonly Waiting[], waiting: Waiting): number {
  let low = 0;
  let high = lane.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = lane[middle];
    if (other && byUrgency(waiting, other) < 0) high = middle;
    else low = middle + 1;
  }
  return low;
}

const byUrgency = (a: Waiting, b: Waiting): number =>
  urgencyMs(a) - urgencyMs(b) || a.arrivedAtMs - b.arrivedAtMs;
