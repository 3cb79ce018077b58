import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, lastMessage, type Nats, publishIfLast } from '@drover/runtime';
import {
  buckets,
  DroverError,
  parseMessage,
  type RequestId,
  type Reservations,
  reservations,
  streams,
  subjects,
} from '@drover/schemas';
import type { ApiKey } from '../core/api-keys.ts';
import {
  type BudgetPlan,
  type Claim,
  noReservations,
  overdue,
  planBudget,
  withoutReservation,
} from '../core/budget.ts';
import type { CostBook } from '../core/cost-book.ts';
import { periodAround } from '../core/period.ts';
import type { LedgerFeed } from './ledger.ts';

/** The bucket as a stream: reading and writing with compare-and-set needs no more than that. */
const stream = `KV_${buckets.budgets.name}`;
const subjectOf = (key: string) => `$KV.${buckets.budgets.name}.${key}`;

/** How long a request may wait for the ledger, or for JetStream, before it is refused. */
const patienceMs = 5_000;
/** Each loss means that another ingress has written; one of them always gets on. */
const roundsMax = 50;
/** Looked at in one round; the rest has its turn in the next. */
const lapsedMax = 32;

export type BudgetKey = ApiKey & Required<Pick<ApiKey, 'budget' | 'maxUsdPer1k'>>;

export const hasBudget = (key: ApiKey): key is BudgetKey =>
  key.budget !== undefined && key.maxUsdPer1k !== undefined;

/**
 * Keeps the budgets of API keys, together with every other ingress: what a request can cost at most is reserved before it
 * is accepted, and given back when the ledger has what it did cost.
 */
export class Budgets {
  readonly #accounts = new Map<string, Account>();
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Resolves when the request may be submitted.
   * @throws DroverError `budget_exceeded`, or `unavailable` when that cannot be told now
   */
  reserve(key: BudgetKey, claim: Claim): Promise<void> {
    return this.#account(key).reserve(key, claim);
  }

  /** Gives back what was reserved for a request that was not accepted, and never can be. Not being able to is no harm. */
  async release(key: BudgetKey, id: RequestId): Promise<void> {
    await this.#account(key)
      .release(id)
      .catch((error) => this.#parts.log.debug({ key: key.id, error: String(error) }, 'reservation stays'));
  }

  #account(key: BudgetKey): Account {
    const account = this.#accounts.get(key.id) ?? new Account(this.#parts, key.id);
    this.#accounts.set(key.id, account);
    return account;
  }
}

type Parts = {
  readonly nats: Nats;
  readonly book: CostBook;
  readonly feed: LedgerFeed;
  readonly log: Logger;
};

type Read = { readonly record: Reservations; readonly revision: number };
type Pending = Claim & { readonly answer: PromiseWithResolvers<void> };

/** The reservations of one key. One writer at a time: whoever comes meanwhile shares the next write. */
class Account {
  readonly #parts: Parts;
  readonly #id: string;
  #pending: Pending[] = [];
  #turn: Promise<void> = Promise.resolve();
  #isQueued = false;
  /** As it was last read or written here; another ingress may have written since. */
  #known: Read | undefined;

  constructor(parts: Parts, id: string) {
    this.#parts = parts;
    this.#id = id;
  }

  reserve(key: BudgetKey, claim: Claim): Promise<void> {
    const answer = Promise.withResolvers<void>();
    this.#pending.push({ ...claim, answer });
    if (!this.#isQueued) {
      this.#isQueued = true;
      this.#turn = this.#turn.then(() => this.#serve(key));
    }
    return answer.promise;
  }

  release(id: RequestId): Promise<void> {
    const turn = this.#turn.then(async () => {
      for (let round = 0; round < roundsMax; round++) {
        const { record, revision } = await this.#read();
        if (!(id in record.open) || (await this.#write(withoutReservation(record, id), revision))) return;
      }
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #serve(key: BudgetKey): Promise<void> {
    this.#isQueued = false;
    const batch = this.#pending.splice(0);
    try {
      const { granted } = await this.#plan(key, batch);
      for (const [index, { answer }] of batch.entries())
        if (granted[index]) answer.resolve();
        else answer.reject(exceeded(key));
    } catch (error) {
      for (const { answer } of batch) answer.reject(unavailable(error));
    }
  }

  /** Grants as much as fits, and writes it down. @throws when JetStream or the ledger does not get on */
  async #plan(key: BudgetKey, claims: readonly Claim[]): Promise<BudgetPlan> {
    for (let round = 0; round < roundsMax; round++) {
      const isFresh = this.#known === undefined;
      const { record, revision } = await this.#read();
      const plan = await this.#planWith(key, record, claims);
      // What another ingress gave back meanwhile may be just what is missing.
      if (!isFresh && plan.granted.includes(false)) this.#known = undefined;
      else if (!plan.mustWrite || (await this.#write(plan.next, revision))) return plan;
      else await sleep(Math.random() * 2 * round);
    }
    throw new Error(`budget of ${this.#id}: too many write at once`);
  }

  async #planWith(key: BudgetKey, record: Reservations, claims: readonly Claim[]): Promise<BudgetPlan> {
    const { book, feed } = this.#parts;
    if (!(await feed.reached(record.ledgerSeq, patienceMs))) throw new Error('the ledger is not read yet');
    const nowMs = Date.now();
    const lapsed = await this.#lapsed(key, overdue(record, nowMs));
    return planBudget(
      {
        record,
        spentUsd: book.spentUsd(key.tenant, key.id, periodAround(key.budget.period, nowMs), key.maxUsdPer1k),
        bookSeq: book.seq,
        budgetUsd: key.budget.usd,
        isSettled: (id) => book.isSettled(key.tenant, key.id, id),
        lapsed,
      },
      claims,
    );
  }

  /** Those of which nothing can come any more. What cannot be looked up stays reserved. */
  async #lapsed({ tenant }: BudgetKey, ids: readonly RequestId[]): Promise<ReadonlySet<RequestId>> {
    const looked = await Promise.all(
      ids.slice(0, lapsedMax).map(async (id) => ((await this.#isOver(tenant, id)) ? [id] : [])),
    );
    return new Set(looked.flat());
  }

  async #isOver(tenant: string, id: RequestId): Promise<boolean> {
    const { nats, feed } = this.#parts;
    const settled = await lastMessage(nats, streams.ledger.name, subjects.ledger(tenant, id));
    if (settled !== null) return settled.seq <= (feed.position ?? 0);
    // An event without a record: somebody has run it, or it will be settled soon.
    return (await lastMessage(nats, streams.events.name, subjects.event('*', tenant, id))) === null;
  }

  async #read(): Promise<Read> {
    if (this.#known !== undefined) return this.#known;
    const last = await lastMessage(this.#parts.nats, stream, subjectOf(this.#id));
    if (last === null) return this.#keep({ record: noReservations(), revision: 0 });
    const parsed = parseMessage(reservations, last.data);
    if (!parsed.ok) throw new Error(`reservations of ${this.#id}: ${parsed.problem}`);
    return this.#keep({ record: parsed.value, revision: last.seq });
  }

  /** False when another ingress was first. */
  async #write(record: Reservations, lastSeq: number): Promise<boolean> {
    const guard = subjectOf(this.#id);
    this.#known = undefined;
    const revision = await publishIfLast(this.#parts.nats, stream, guard, JSON.stringify(record), {
      guard,
      lastSeq,
      giveUpAfterMs: patienceMs,
    });
    if (revision === null) return false;
    this.#keep({ record, revision });
    return true;
  }

  #keep(read: Read): Read {
    this.#known = read;
    return read;
  }
}

const exceeded = ({ budget }: BudgetKey) =>
  new DroverError(
    'budget_exceeded',
    `The budget of this API key, $${budget.usd} per ${budget.period} (UTC), leaves too little for the dearest answer that this request allows. A lower max_tokens needs less.`,
  );

const unavailable = (cause: unknown) =>
  new DroverError('unavailable', 'The budget of this API key cannot be checked now; try again.', {
    cause,
    retryAfterSeconds: 2,
  });
