import assert from 'node:assert/strict';
import test from 'node:test';
import { type ClusterId, type RequestId, requestId, tenantId } from '@drover/schemas';
import fc from 'fast-check';
import { cluster } from '../../testing/builders.ts';
import { type Assignment, Ledger } from './ledger.ts';

const aws = cluster('aws');
const gcp = cluster('gcp');
const id = (name: string): RequestId => requestId.parse(name);
const tenant = tenantId.parse('t1');
const at = (name: string, where: ClusterId, attempt = 1, sinceMs = 0) => ({
  id: id(name),
  tenant,
  cluster: where,
  attempt,
  sinceMs,
});

test('a reservation counts at once and a released one does not', () => {
  const ledger = new Ledger();
  ledger.reserve(at('r1', aws));
  assert.equal(ledger.load(aws), 1);
  ledger.release(id('r1'));
  assert.equal(ledger.load(aws), 0);
});

test('a move that fails leaves the job where it was', () => {
  const ledger = new Ledger();
  ledger.adopt({ ...at('r1', aws), state: 'assigned' }, 0);
  ledger.reserve(at('r1', gcp, 2));
  assert.deepEqual([ledger.load(aws), ledger.load(gcp)], [0, 1]);
  ledger.release(id('r1'));
  assert.deepEqual([ledger.load(aws), ledger.load(gcp)], [1, 0]);
});

test('an event that is faster than the confirmation is not undone by it', () => {
  const ledger = new Ledger();
  ledger.reserve(at('r1', aws));
  ledger.running(at('r1', aws));
  ledger.confirm(id('r1'), 5);
  assert.equal(ledger.get(id('r1'))?.state, 'running');
  ledger.reserve(at('r2', aws));
  ledger.ended(id('r2'), 5);
  ledger.confirm(id('r2'), 6);
  assert.equal(ledger.get(id('r2')), undefined);
});

test('a job that was given back holds no slot', () => {
  const ledger = new Ledger();
  ledger.running(at('r1', aws));
  ledger.released(at('r1', aws));
  assert.equal(ledger.load(aws), 0);
  assert.equal(ledger.get(id('r1'))?.state, 'released');
});

test('late events of a superseded attempt change nothing', () => {
  const ledger = new Ledger();
  ledger.running(at('r1', gcp, 2));
  ledger.released(at('r1', aws, 1));
  assert.equal(ledger.load(gcp), 1);
});

test('a decision that is heard after the end of its request is not adopted', () => {
  const ledger = new Ledger();
  ledger.ended(id('r1'), 0);
  assert.equal(ledger.adopt({ ...at('r1', aws), state: 'assigned' }, 100), false);
  assert.equal(ledger.load(aws), 0);
});

test('reconciliation keeps the young, drops the old that are gone, and asks about the unknown', () => {
  const ledger = new Ledger();
  ledger.adopt({ ...at('old', aws, 1, 0), state: 'assigned' }, 0);
  ledger.adopt({ ...at('young', aws, 1, 9_000), state: 'assigned' }, 9_000);
  ledger.adopt({ ...at('listed', aws, 1, 0), state: 'running' }, 0);
  const { unknown, doubled } = ledger.reconcile(
    new Map([
      [id('listed'), [aws]],
      [id('new'), [gcp]],
      [id('twice'), [aws, gcp]],
    ]),
    10_000,
  );
  assert.deepEqual([...ledger.all()].map((one) => one.id).toSorted(), ['listed', 'young']);
  assert.deepEqual(
    unknown.map((one) => one.id),
    ['new', 'twice'],
  );
  assert.deepEqual(doubled, ['twice']);
});

/** Anything that can happen to a ledger. */
const anyChange = fc.record({
  what: fc.constantFrom('reserve', 'confirm', 'release', 'running', 'released', 'ended', 'adopt', 'forget'),
  name: fc.constantFrom('r1', 'r2', 'r3', 'r4'),
  where: fc.constantFrom(aws, gcp),
  attempt: fc.integer({ min: 1, max: 3 }),
});

type Change = { what: string; name: string; where: ClusterId; attempt: number };

function apply(ledger: Ledger, change: Change, nowMs: number): unknown {
  const one = at(change.name, change.where, change.attempt, nowMs);
  switch (change.what) {
    case 'reserve':
      return ledger.reserve(one);
    case 'confirm':
      return ledger.confirm(one.id, nowMs);
    case 'release':
      return ledger.release(one.id);
    case 'running':
      return ledger.running(one);
    case 'released':
      return ledger.released(one);
    case 'ended':
      return ledger.ended(one.id, nowMs);
    case 'adopt':
      return ledger.adopt({ ...one, state: 'assigned' }, nowMs);
    default:
      return ledger.forget(one.id);
  }
}

test('in any interleaving the load is the number of assignments that hold a slot', () => {
  fc.assert(
    fc.property(fc.array(anyChange, { maxLength: 60 }), (changes) => {
      const ledger = new Ledger();
      changes.forEach((change, index) => {
        apply(ledger, change, index * 700);
        for (const where of [aws, gcp]) {
          const holding = [...ledger.all()].filter(
            (one) => one.cluster === where && one.state !== 'released',
          );
          assert.equal(ledger.load(where), holding.length);
        }
      });
    }),
  );
});

test('after any history, reconciling and adopting makes the ledger equal to the list of jobs', () => {
  fc.assert(
    fc.property(
      fc.array(anyChange, { maxLength: 60 }),
      fc.dictionary(fc.constantFrom('r1', 'r2', 'r3', 'r4', 'r5'), fc.constantFrom(aws, gcp)),
      (changes, jobs) => {
        const ledger = new Ledger();
        for (const [index, change] of changes.entries()) apply(ledger, change, index);
        for (const name of ['r1', 'r2', 'r3', 'r4']) ledger.confirm(id(name), 100);
        const listing = new Map(Object.entries(jobs).map(([name, where]) => [id(name), [where]]));
        // Long after the last event, so that neither youth nor a fresh end excuses a difference.
        const nowMs = 60_000;
        for (const one of ledger.reconcile(listing, nowMs).unknown)
          ledger.adopt(
            { ...at(one.id, one.cluster, 9, nowMs), state: 'assigned' } satisfies Assignment,
            nowMs,
          );
        assert.deepEqual(
          [...ledger.all()].map((one) => `${one.id}@${one.cluster}`).toSorted(),
          Object.entries(jobs)
            .map(([name, where]) => `${name}@${where}`)
            .toSorted(),
        );
      },
    ),
  );
});
