import { type Priority, priorities } from '@drover/schemas';
import { afterDispatch, bandOrder, type Turns } from './bands.ts';
import type { WaitingQueue } from './queue.ts';
import type { Decision, Waiting } from './types.ts';

/**
 * One planning pass: serves the bands in order until no slot is free or nothing that waits can be placed. `judge` decides
 * on one request and carries the decision out, so that the next decision sees its slot taken. Whoever cannot be placed
 * now is passed by: those behind it may want another cluster. Capacity only shrinks during a pass, so nobody is asked
 * twice and a pass costs at most one decision per request held.
 */
export function planPass(
  queue: WaitingQueue,
  turns: Turns,
  hasFreeSlot: () => boolean,
  judge: (waiting: Waiting) => Decision['kind'],
): Turns {
  if (!hasFreeSlot()) return turns;
  const rest: Record<Priority, Waiting[]> = { interactive: [], standard: [], batch: [] };
  for (const band of priorities) rest[band] = queue.band(band).toReversed();
  let next = turns;
  while (hasFreeSlot()) {
    const served = bandOrder(next).find((band) => dispatchOne(rest[band], judge));
    if (!served) return next;
    next = afterDispatch(
      next,
      served,
      priorities.filter((band) => rest[band].length > 0),
    );
  }
  return next;
}

/** Dispatches the first of a band (the last of the reversed list) that can be placed. */
function dispatchOne(reversed: Waiting[], judge: (waiting: Waiting) => Decision['kind']): boolean {
  for (let waiting = reversed.pop(); waiting; waiting = reversed.pop())
    if (judge(waiting) === 'assign') return true;
  return false;
}
