import assert from 'node:assert/strict';
import test from 'node:test';
import type { Priority } from '@drover/schemas';
import fc from 'fast-check';
import { aWaiting } from '../../testing/builders.ts';
import { noTurns, passedOverMax, type Turns } from './bands.ts';
import { planPass } from './plan.ts';
import { WaitingQueue } from './queue.ts';
import type { Waiting } from './types.ts';

let serial = 0;
const waiting = (priority: Priority, deadlineAtMs = 1_000) =>
  aWaiting({ id: `w${serial++}`, priority, deadlineAtMs, submittedAtMs: serial });

function queueOf(...all: Waiting[]): WaitingQueue {
  const queue = new WaitingQueue();
  for (const one of all) queue.add(one);
  return queue;
}

/** Runs a pass with this many free slots; returns who was dispatched, in order. */
function run(queue: WaitingQueue, slots: number, turns: Turns = noTurns, takes = (_: Waiting) => true) {
  const served: Waiting[] = [];
  const asked: Waiting[] = [];
  const next = planPass(
    queue,
    turns,
    () => served.length < slots,
    (one) => {
      asked.push(one);
      if (!takes(one)) return 'defer';
      served.push(one);
      queue.remove(one.id);
      return 'assign';
    },
  );
  return { served, asked, next };
}

test('bands are served in strict order, each by deadline and then by arrival', () => {
  const [late, soon, alsoSoon] = [
    waiting('standard', 900),
    waiting('standard', 500),
    waiting('standard', 500),
  ];
  const batch = waiting('batch', 1);
  const urgent = waiting('interactive', 9_999);
  const { served } = run(queueOf(batch, late, soon, alsoSoon, urgent), 9);
  assert.deepEqual(served, [urgent, soon, alsoSoon, late, batch]);
});

test('who cannot be placed does not hold up those behind', () => {
  const stuck = waiting('interactive', 1);
  const behind = waiting('interactive', 2);
  const { served } = run(queueOf(stuck, behind), 5, noTurns, (one) => one !== stuck);
  assert.deepEqual(served, [behind]);
});

test('nobody is asked while no slot is free, and nobody twice', () => {
  const queue = queueOf(...Array.from({ length: 50 }, () => waiting('batch')));
  assert.equal(run(queue, 0).asked.length, 0);
  assert.equal(run(queue, 5, noTurns, () => false).asked.length, 50);
  assert.equal(run(queue, 5).asked.length, 5);
});

test('a lower band that waits is served at least every twentieth time', () => {
  const queue = queueOf(
    ...Array.from({ length: 200 }, () => waiting('interactive')),
    ...Array.from({ length: 20 }, () => waiting('standard')),
    ...Array.from({ length: 20 }, () => waiting('batch')),
  );
  const bands: Priority[] = [];
  let turns = noTurns;
  // One slot at a time: the count carries over from pass to pass.
  for (let n = 0; n < 120; n++) {
    const { served, next } = run(queue, 1, turns);
    turns = next;
    bands.push(...served.map(({ request }) => request.priority));
  }
  for (const band of ['standard', 'batch'] as const) {
    const places = bands.flatMap((one, index) => (one === band ? [index] : []));
    assert.ok(places.length >= 5, band);
    const gaps = places.map((place, index) => place - (places[index - 1] ?? -1) - 1);
    assert.ok(Math.max(...gaps) <= passedOverMax + 1, `${band}: ${gaps}`);
  }
});

const of = (tenant: string, priority: Priority = 'standard') =>
  aWaiting({ id: `w${serial++}`, tenant, priority, deadlineAtMs: 1_000, submittedAtMs: serial });

test('a tenant that floods a band delays the others by no more than their share', () => {
  const flood = Array.from({ length: 100 }, () => of('loud'));
  const few = Array.from({ length: 5 }, () => of('quiet'));
  const queue = queueOf(...flood, ...few);
  const served = serveOneByOne(queue, 12);
  const places = served.flatMap((tenant, index) => (tenant === 'quiet' ? [index] : []));
  assert.equal(places.length, 5, `${served}`);
});

test('a tenant of twice the weight gets twice the tokens', () => {
  const queue = queueOf(
    ...Array.from({ length: 90 }, () => of('one')),
    ...Array.from({ length: 90 }, () => of('two')),
  );
  const served = serveOneByOne(queue, 60, { two: 2 });
  assert.equal(served.filter((tenant) => tenant === 'two').length, 40);
});

test('while tenants have something waiting, what they have had differs by no more than two requests', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 40, maxLength: 60 }), (sizes) => {
      const queue = queueOf(...sizes.map((_, index) => of(`t${index % 3}`)));
      const tokens = new Map(sizes.map((size, index) => [index % 3, size] as const));
      const largest = Math.max(...tokens.values()) * 2;
      for (let n = 0; n < 20; n++) {
        serveOneByOne(queue, 1, {}, (tenant) => tokens.get(Number(tenant.slice(1))) ?? 1);
        const had = [...queue.lanes('standard').keys()].map((tenant) => queue.counters.had(tenant));
        assert.ok(Math.max(...had) - Math.min(...had) <= 2 * largest);
      }
    }),
  );
});

test('without fairness a band is one line by deadline, whoever it belongs to', () => {
  const queue = queueOf(...Array.from({ length: 5 }, () => of('loud')), of('quiet'));
  const served: string[] = [];
  planPass(
    queue,
    noTurns,
    () => served.length < 6,
    (one) => {
      served.push(one.request.tenant);
      queue.remove(one.id);
      return 'assign';
    },
    false,
  );
  assert.deepEqual(served, ['loud', 'loud', 'loud', 'loud', 'loud', 'quiet']);
});

test('of requests that are alike only one is asked when nobody could take it, and others still are', () => {
  const alike = Array.from({ length: 50 }, () => waiting('batch'));
  const ceiling = { ...waiting('batch'), request: { ...waiting('batch').request, maxUsdPer1k: 1 } };
  const queue = queueOf(...alike);
  queue.add(ceiling);
  queue.add({ ...waiting('batch'), request: { ...waiting('batch').request, regions: ['eu-'] } });
  const asked: Waiting[] = [];
  planPass(
    queue,
    noTurns,
    () => true,
    (one) => {
      asked.push(one);
      return 'defer-alike';
    },
  );
  assert.equal(asked.length, 3);
});

test('a request is not overtaken for ever by those with nearer deadlines', () => {
  const patient = aWaiting({ id: 'patient', deadlineAtMs: 1e9, submittedAtMs: 0 });
  const later = aWaiting({ id: 'later', deadlineAtMs: 100_000, submittedAtMs: 60_000 });
  assert.equal(queueOf(later, patient).band('standard')[0], patient);
});

/** One slot at a time, each charged as the planner does it; the tenants in the order served. */
function serveOneByOne(
  queue: WaitingQueue,
  slots: number,
  weights: Readonly<Record<string, number>> = {},
  outputOf: (tenant: string) => number = () => 10,
): string[] {
  const served: string[] = [];
  const target = slots;
  while (served.length < target && queue.size > 0) {
    const before = served.length;
    planPass(
      queue,
      noTurns,
      () => served.length === before,
      ({ id, request }) => {
        served.push(request.tenant);
        queue.remove(id);
        queue.counters.charge(
          request.tenant,
          { prompt: 0, output: outputOf(request.tenant) },
          weights[request.tenant] ?? 1,
        );
        return 'assign';
      },
    );
  }
  return served;
}

test('expired requests are those whose deadline has passed, in every band', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 100 })),
      fc.integer({ min: 0, max: 100 }),
      (deadlines, nowMs) => {
        const all = deadlines.map((ms, n) =>
          waiting((['interactive', 'standard', 'batch'] as const)[n % 3] ?? 'batch', ms),
        );
        const queue = queueOf(...all);
        const expired = new Set(queue.expired(nowMs));
        for (const one of all) assert.equal(expired.has(one), one.request.deadlineAtMs <= nowMs);
      },
    ),
  );
});

test('the queue keeps its order in any sequence of arrivals and departures', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 20 }), fc.boolean())), (steps) => {
      const queue = new WaitingQueue();
      const inside: Waiting[] = [];
      for (const [deadlineAtMs, leaves] of steps) {
        const one = waiting('batch', deadlineAtMs);
        queue.add(one);
        inside.push(one);
        const gone = leaves ? inside.shift() : undefined;
        if (gone) queue.remove(gone.id);
      }
      const expected = inside.toSorted(
        (a, b) => a.request.deadlineAtMs - b.request.deadlineAtMs || a.arrivedAtMs - b.arrivedAtMs,
      );
      assert.deepEqual(queue.band('batch'), expected);
      assert.equal(queue.size, inside.length);
    }),
  );
});
