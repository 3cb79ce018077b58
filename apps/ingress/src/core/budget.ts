import type { RequestId, Reservations } from '@drover/schemas';

/** A request that asks for its place in the budget; `usd` is more than it can cost. */
export type Claim = { readonly id: RequestId; readonly usd: number; readonly expiresAtMs: number };

export type BudgetState = {
  readonly record: Reservations;
  /** What the period has cost so far, by a book of the ledger read up to `bookSeq`. */
  readonly spentUsd: number;
  readonly bookSeq: number;
  readonly budgetUsd: number;
  /** Whether the book has the request: then it is part of `spentUsd`. */
  readonly isSettled: (id: RequestId) => boolean;
  /** Requests that hold nothing any more: they never were accepted, or never ran. */
  readonly lapsed: ReadonlySet<RequestId>;
};

export type BudgetPlan = {
  /** The record to write if it is still the one that was read. */
  readonly next: Reservations;
  /** By place in the claims: whether each fits. */
  readonly granted: readonly boolean[];
  /** Whether something was granted that has to be written first. */
  readonly mustWrite: boolean;
  /** What is neither spent nor reserved after this. */
  readonly leftUsd: number;
};

/** Sums of dollars are exact to about this much. */
const rounding = 1e-9;
/** The record of a key has to stay a small message. */
export const openMax = 4_000;

const emptyRecord: Reservations = { v: 1, ledgerSeq: 0, open: {} };
export const noReservations = (): Reservations => emptyRecord;

/** Pure. Reservations whose time is over, and whose fate the events have to tell. */
export const overdue = ({ open }: Reservations, nowMs: number): RequestId[] =>
  entriesOf(open).flatMap(([id, { expiresAtMs }]) => (expiresAtMs < nowMs ? [id] : []));

/**
 * Pure. Which claims fit into what is left, first come first served. Everything that may still be charged is counted
 * exactly once: as spent when the book has it, else as reserved. The same request again needs no second place.
 */
export function planBudget(state: BudgetState, claims: readonly Claim[]): BudgetPlan {
  const { record, isSettled, lapsed, budgetUsd } = state;
  const open = new Map(entriesOf(record.open).filter(([id]) => !isSettled(id) && !lapsed.has(id)));
  const dropped = open.size < Object.keys(record.open).length;
  let leftUsd = budgetUsd - state.spentUsd;
  for (const { usd } of open.values()) leftUsd -= usd;
  let mustWrite = false;
  const granted = claims.map(({ id, usd, expiresAtMs }) => {
    if (isSettled(id)) return true;
    const held = open.get(id);
    const moreUsd = Math.max(0, usd - (held?.usd ?? 0));
    if (moreUsd > leftUsd + rounding * budgetUsd || (held === undefined && open.size >= openMax))
      return false;
    if (held !== undefined && moreUsd === 0 && held.expiresAtMs >= expiresAtMs) return true;
    open.set(id, {
      usd: Math.max(usd, held?.usd ?? 0),
      expiresAtMs: Math.max(expiresAtMs, held?.expiresAtMs ?? 0),
    });
    leftUsd -= moreUsd;
    mustWrite = true;
    return true;
  });
  const ledgerSeq = dropped ? Math.max(record.ledgerSeq, state.bookSeq) : record.ledgerSeq;
  return { next: { v: 1, ledgerSeq, open: Object.fromEntries(open) }, granted, mustWrite, leftUsd };
}

/** Pure. The record without a reservation whose request was refused before it was accepted. */
export function withoutReservation(record: Reservations, id: RequestId): Reservations {
  const { [id]: _, ...open } = record.open;
  return { ...record, open };
}

/** Keys of the record are request ids: the schema says so, the type of `Object.entries` does not. */
const entriesOf = (open: Reservations['open']): [RequestId, { usd: number; expiresAtMs: number }][] =>
  Object.entries(open) as [RequestId, { usd: number; expiresAtMs: number }][];
