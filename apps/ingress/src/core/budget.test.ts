import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RequestId, type Reservations, requestId } from '@drover/schemas';
import fc from 'fast-check';
import { noReservations, openMax, overdue, planBudget, withoutReservation } from './budget.ts';

const budgetUsd = 10;
const id = (name: string | number) => requestId.parse(`r${name}`);
const claim = (name: string | number, usd: number, expiresAtMs = 100) => ({ id: id(name), usd, expiresAtMs });
const state = (change: Partial<Parameters<typeof planBudget>[0]> = {}) => ({
  record: noReservations(),
  spentUsd: 0,
  bookSeq: 0,
  budgetUsd,
  isSettled: () => false,
  lapsed: new Set<RequestId>(),
  ...change,
});

test('claims are granted in their order as long as they fit', () => {
  const { granted, next, leftUsd } = planBudget(state({ spentUsd: 4 }), [
    claim(1, 3),
    claim(2, 4),
    claim(3, 3),
  ]);
  assert.deepEqual(granted, [true, false, true]);
  assert.deepEqual(Object.keys(next.open), [id(1), id(3)]);
  assert.equal(leftUsd, 0);
});

test('the same request again needs only what it could cost more', () => {
  const { next: record } = planBudget(state(), [claim(1, 6)]);
  const again = planBudget(state({ record }), [claim(1, 6)]);
  assert.deepEqual([again.granted, again.mustWrite], [[true], false]);
  const more = planBudget(state({ record }), [claim(1, 9, 200)]);
  assert.deepEqual([more.granted, more.mustWrite], [[true], true]);
  assert.deepEqual(more.next.open[id(1)], { usd: 9, expiresAtMs: 200 });
  assert.deepEqual(planBudget(state({ record }), [claim(1, 11)]).granted, [false]);
});

test('a settled request is dropped with the position of the book, and needs no place when it comes again', () => {
  const { next: record } = planBudget(state(), [claim(1, 6), claim(2, 1)]);
  const settled = { record, bookSeq: 7, spentUsd: 2, isSettled: (one: RequestId) => one === id(1) };
  const plan = planBudget(state(settled), [claim(3, 5), claim(1, 6)]);
  assert.deepEqual(plan.granted, [true, true]);
  assert.deepEqual(Object.keys(plan.next.open), [id(2), id(3)]);
  assert.equal(plan.next.ledgerSeq, 7);
});

test('only what is over its time may lapse, and a released reservation is gone', () => {
  const { next: record } = planBudget(state(), [claim(1, 6, 50), claim(2, 1, 150)]);
  assert.deepEqual(overdue(record, 100), [id(1)]);
  assert.deepEqual(planBudget(state({ record, lapsed: new Set([id(1)]) }), [claim(3, 9)]).granted, [true]);
  assert.deepEqual(Object.keys(withoutReservation(record, id(1)).open), [id(2)]);
});

test('a record never grows beyond a message', () => {
  const many = Array.from({ length: openMax + 1 }, (_, index) => claim(index, 0));
  const { granted, next } = planBudget(state(), many);
  assert.equal(granted.filter(Boolean).length, openMax);
  assert.ok(JSON.stringify(next).length < 1024 * 1024);
});

/**
 * Ingresses with books that lag behind, one record with compare-and-set, requests that die between being reserved and
 * being accepted, and requests that cost less than was reserved.
 */
class FakeWorld {
  record: Reservations = noReservations();
  revision = 0;
  readonly ledger: { id: RequestId; usd: number }[] = [];
  readonly accepted = new Map<RequestId, number>();
  readonly lapsed = new Set<RequestId>();
  readonly ingresses = Array.from({ length: 3 }, () => ({
    read: 0,
    planned: undefined as
      | undefined
      | { revision: number; next: Reservations; granted: [RequestId, number][] },
  }));
  #count = 0;

  get settledUsd(): number {
    return this.ledger.reduce((sum, { usd }) => sum + usd, 0);
  }

  /** Reads the record and decides; the write comes later, when others may have written. */
  plan(ingress: (typeof this.ingresses)[number], sizes: readonly number[]): void {
    // Who has read less than whoever dropped reservations waits.
    if (ingress.read < this.record.ledgerSeq) return;
    const claims = sizes.map((usd) => claim(++this.#count, usd));
    const plan = this.#planFor(ingress.read, claims);
    const granted = claims.flatMap(({ id, usd }, index): [RequestId, number][] =>
      plan.granted[index] ? [[id, usd]] : [],
    );
    ingress.planned = { revision: this.revision, next: plan.next, granted };
  }

  /** @param survive whether the ingress lives to submit what it has reserved */
  write(ingress: (typeof this.ingresses)[number], survive: boolean): void {
    const { planned } = ingress;
    ingress.planned = undefined;
    if (planned === undefined || planned.revision !== this.revision) return;
    this.record = planned.next;
    this.revision++;
    for (const [id, usd] of planned.granted)
      if (survive) this.accepted.set(id, usd);
      else this.lapsed.add(id);
  }

  settle(which: number, fraction: number): void {
    const waiting = [...this.accepted];
    const [id, usd] = waiting[which % Math.max(1, waiting.length)] ?? [];
    if (id === undefined || usd === undefined) return;
    this.accepted.delete(id);
    this.ledger.push({ id, usd: usd * fraction });
  }

  leftUsd(): number {
    return this.#planFor(this.ledger.length, []).leftUsd;
  }

  #planFor(read: number, claims: Parameters<typeof planBudget>[1]) {
    const book = this.ledger.slice(0, read);
    return planBudget(
      {
        record: this.record,
        spentUsd: book.reduce((sum, { usd }) => sum + usd, 0),
        bookSeq: read,
        budgetUsd,
        isSettled: (id) => book.some((one) => one.id === id),
        lapsed: this.lapsed,
      },
      claims,
    );
  }
}

type Step =
  | { readonly kind: 'plan'; readonly ingress: number; readonly sizes: number[] }
  | { readonly kind: 'write'; readonly ingress: number; readonly survive: boolean }
  | { readonly kind: 'read'; readonly ingress: number; readonly records: number }
  | { readonly kind: 'settle'; readonly which: number; readonly fraction: number };

const ingress = fc.nat(2);
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('plan' as const),
    ingress,
    sizes: fc.array(fc.double({ min: 0.1, max: 5, noNaN: true }), { minLength: 1, maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant('write' as const), ingress, survive: fc.boolean() }),
  fc.record({ kind: fc.constant('read' as const), ingress, records: fc.integer({ min: 1, max: 3 }) }),
  fc.record({
    kind: fc.constant('settle' as const),
    which: fc.nat(20),
    fraction: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
);

test('whoever plans, writes, lags or dies in whatever order: never more than the budget, and nothing is counted twice', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 120 }), (steps) => {
      const world = new FakeWorld();
      for (const step of steps) {
        if (step.kind === 'settle') world.settle(step.which, step.fraction);
        else {
          const one = world.ingresses[step.ingress];
          assert.ok(one);
          if (step.kind === 'plan') world.plan(one, step.sizes);
          else if (step.kind === 'write') world.write(one, step.survive);
          else one.read = Math.min(world.ledger.length, one.read + step.records);
        }
        const owedUsd = [...world.accepted.values()].reduce((sum, usd) => sum + usd, 0);
        assert.ok(world.settledUsd + owedUsd <= budgetUsd + 1e-6, `${world.settledUsd} + ${owedUsd}`);
      }
      while (world.accepted.size > 0) world.settle(0, 0.5);
      assert.ok(Math.abs(world.leftUsd() - (budgetUsd - world.settledUsd)) < 1e-6);
    }),
    { numRuns: 500 },
  );
});
