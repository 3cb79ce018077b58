import { type Priority, priorities } from '@drover/schemas';

/** A band that waits is passed over at most this often in a row, so that strict priority starves nobody. */
export const passedOverMax = 19;

/** How often each band has been passed over since it was last served, while something in it waited. */
export type Turns = Readonly<Record<Priority, number>>;
export const noTurns: Turns = { interactive: 0, standard: 0, batch: 0 };

/** The bands in the order to be served now: strict, except that one passed over too often comes first, lowest first. */
export function bandOrder(turns: Turns): readonly Priority[] {
  const due = priorities.filter((band) => turns[band] >= passedOverMax).reverse();
  return [...due, ...priorities.filter((band) => !due.includes(band))];
}

/** After a dispatch from `served`, while the bands in `waiting` had something to dispatch too. */
export function afterDispatch(turns: Turns, served: Priority, waiting: readonly Priority[]): Turns {
  const next = { ...turns };
  for (const band of priorities) next[band] = band !== served && waiting.includes(band) ? turns[band] + 1 : 0;
  return next;
}
