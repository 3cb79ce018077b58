import { type Priority, priorities, type TenantId } from '@drover/schemas';
import { afterDispatch, bandOrder, type Turns } from './bands.ts';
import type { TokenCounters } from './fairness.ts';
import type { WaitingQueue } from './queue.ts';
import type { Decision, Waiting } from './types.ts';

/** `defer-alike`: not now, for reasons that hold for every request of the same kind. */
export type Judgement = Decision['kind'] | 'defer-alike';

/**
 * One planning pass: serves the bands in order, in a band the tenant that has had least, of a tenant the most urgent,
 * until no slot is free or nothing that waits can be placed. `judge` decides on one request and carries the decision out,
 * so that the next decision sees its slot taken. Whoever cannot be placed now is passed by: those behind it may want
 * another cluster. Capacity only shrinks during a pass, so nobody is asked twice, and those that are like one that nobody
 * could take are not asked at all: a long queue costs a look, not a decision each.
 */
export function planPass(
  queue: WaitingQueue,
  turns: Turns,
  hasFreeSlot: () => boolean,
  judge: (waiting: Waiting) => Judgement,
  fair = true,
): Turns {
  if (!hasFreeSlot()) return turns;
  const line = (priority: Priority) => new Line(queue, priority, fair);
  const lines = { interactive: line('interactive'), standard: line('standard'), batch: line('batch') };
  const passed = new Set<string>();
  let next = turns;
  while (hasFreeSlot()) {
    const served = bandOrder(next).find((band) => dispatchOne(lines[band], judge, passed));
    if (!served) return next;
    next = afterDispatch(
      next,
      served,
      priorities.filter((band) => lines[band].size > 0),
    );
  }
  return next;
}

/** Dispatches the first of a band that can be placed. */
function dispatchOne(line: Line, judge: (waiting: Waiting) => Judgement, passed: Set<string>): boolean {
  for (let waiting = line.next(); waiting; waiting = line.next()) {
    const kind = kindOf(waiting);
    if (passed.has(kind)) continue;
    const judgement = judge(waiting);
    if (judgement === 'assign') return true;
    if (judgement === 'defer-alike') passed.add(kind);
  }
  return false;
}

/** Requests of one kind differ in length and time only. */
const kindOf = ({ model, request, previous }: Waiting): string =>
  `${request.endpoint} ${request.maxUsdPer1k ?? ''} ${request.regions?.join() ?? ''} ${previous?.cluster ?? ''} ${previous?.modelHash ?? ''} ${model}`;

/** A place in what one tenant has waiting. The list is the queue's own, and loses what is dispatched. */
type Place = { readonly lane: readonly Waiting[]; at: number };

/** A band during one pass: of the tenants, always the one that has had least; of what it has waiting, each once. */
class Line {
  readonly #counters: TokenCounters;
  readonly #places: Map<TenantId, Place>;
  #last: { readonly waiting: Waiting; readonly place: Place } | undefined;
  size: number;

  constructor(queue: WaitingQueue, priority: Priority, fair: boolean) {
    this.#counters = queue.counters;
    // Without fairness all tenants are one.
    const lanes = fair ? queue.lanes(priority) : asOne(queue.band(priority));
    this.#places = new Map([...lanes].map(([tenant, lane]) => [tenant, { lane, at: 0 }]));
    this.size = queue.sizeOf(priority);
  }

  next(): Waiting | undefined {
    this.#passLast();
    let least: TenantId | undefined;
    let leastHad = Number.POSITIVE_INFINITY;
    for (const [tenant, { lane, at }] of this.#places) {
      if (at >= lane.length) continue;
      const had = this.#counters.had(tenant);
      if (had < leastHad) [least, leastHad] = [tenant, had];
    }
    const place = least === undefined ? undefined : this.#places.get(least);
    const waiting = place?.lane[place.at];
    if (!place || !waiting) return undefined;
    this.#last = { waiting, place };
    this.size--;
    return waiting;
  }

  /** What was not dispatched is still in its place, and is passed by. */
  #passLast(): void {
    if (!this.#last) return;
    const { waiting, place } = this.#last;
    if (place.lane[place.at] === waiting) place.at++;
  }
}

function asOne(band: readonly Waiting[]): ReadonlyMap<TenantId, readonly Waiting[]> {
  const [any] = band;
  return any ? new Map([[any.request.tenant, band]]) : new Map();
}
