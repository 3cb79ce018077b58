import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LedgerRecord, requestId, tenantId } from '@drover/schemas';
import fc from 'fast-check';
import { CostBook } from './cost-book.ts';
import { costsOf, dimensions, parseCostsQuery } from './costs.ts';
import { dayMs, hourMs } from './period.ts';

const startMs = Date.parse('2026-03-10T00:00:00Z');
const always = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER };

const record = (change: Partial<LedgerRecord> & { name?: string } = {}): LedgerRecord => {
  const { name = 'r1', ...fields } = change;
  return {
    v: 1,
    request: requestId.parse(name),
    tenant: tenantId.parse('t1'),
    key: 'k1',
    model: 'm',
    endedAtMs: startMs,
    status: 'done',
    portions: [
      { cluster: 'aws', attempt: 1, promptTokens: 10, completionTokens: 5, usdPer1k: 0.1, usd: 0.5 },
    ],
    usd: 0.5,
    promptTokens: 10,
    completionTokens: 5,
    ...fields,
  };
};

test('a record that is delivered again is not added again', () => {
  const book = new CostBook(dayMs);
  book.add(record(), 4);
  book.add(record(), 4);
  book.add(record({ name: 'r0' }), 3);
  assert.equal(book.seq, 4);
  assert.equal(book.spentUsd('t1', 'k1', always, 1), 0.5);
});

test('tokens without a price count at the ceiling of the key', () => {
  const book = new CostBook(dayMs);
  const [priced] = record().portions;
  assert.ok(priced);
  const { usd: _, usdPer1k: __, ...unpriced } = priced;
  book.add(record({ portions: [priced, { ...unpriced, attempt: 2 }], unpriced: true, usd: undefined }), 1);
  assert.equal(book.spentUsd('t1', 'k1', always, 2), 0.5 + (15 * 2) / 1_000);
  book.add(record({ name: 'r2', portions: [], unpriced: true, usd: undefined }), 2);
  assert.equal(book.spentUsd('t1', 'k1', always, 2), 0.5 + (30 * 2) / 1_000);
});

test('a day is charged with what ended in it, and a key of another tenant is another key', () => {
  const book = new CostBook(dayMs);
  book.add(record({ endedAtMs: startMs - 1 }), 1);
  book.add(record({ name: 'r2' }), 2);
  book.add(record({ name: 'r3', tenant: tenantId.parse('t2') }), 3);
  const day = { fromMs: startMs, toMs: startMs + dayMs };
  assert.equal(book.spentUsd('t1', 'k1', day, 1), 0.5);
  assert.equal(book.spentUsd('t1', 'k1', { ...day, fromMs: startMs - dayMs }, 1), 1);
  assert.equal(book.spentUsd('t1', 'k2', always, 1), 0);
});

test('a request is remembered for the time that was asked for, and forgotten later', () => {
  const book = new CostBook(hourMs);
  book.add(record(), 1);
  book.add(record({ name: 'r2', endedAtMs: startMs + hourMs }), 2);
  assert.ok(book.isSettled('t1', 'k1', requestId.parse('r1')));
  book.add(record({ name: 'r3', endedAtMs: startMs + hourMs + 1 }), 3);
  assert.ok(!book.isSettled('t1', 'k1', requestId.parse('r1')));
  assert.ok(book.isSettled('t1', 'k1', requestId.parse('r2')));
});

test('sums older than the ledger are forgotten', () => {
  const book = new CostBook(hourMs);
  book.add(record(), 1);
  book.add(record({ name: 'r2', endedAtMs: startMs + 34 * dayMs }), 2);
  assert.equal(book.spentUsd('t1', 'k1', always, 1), 0.5);
  assert.equal([...book.rows('t1', 0, always.toMs)].length, 1);
});

test('by whatever dimension costs are shown, they add up to the same total, and no other tenant is in them', () => {
  const anyRecord = fc.record({
    tenant: fc.constantFrom('t1', 't2').map((name) => tenantId.parse(name)),
    key: fc.constantFrom('k1', 'k2', undefined),
    model: fc.constantFrom('m1', 'm2'),
    endedAtMs: fc.integer({ min: startMs, max: startMs + dayMs }),
    clusters: fc.array(fc.constantFrom('aws', 'gcp'), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(anyRecord, { maxLength: 30 }), (records) => {
      const book = new CostBook(dayMs);
      for (const [index, { clusters, ...fields }] of records.entries()) {
        const portions = clusters.map((cluster) => ({ ...portionOf, cluster }));
        const usd = portions.length * 0.25;
        book.add(record({ ...fields, name: `r${index}`, portions, usd }), index + 1);
      }
      const mine = records.filter(({ tenant }) => tenant === 't1');
      const portions = mine.flatMap(({ clusters }) => clusters).length;
      for (const by of dimensions) {
        const { data, total } = costsOf(book, 't1', { by, fromMs: startMs, toMs: startMs + 2 * dayMs });
        assert.equal(total.requests, mine.length);
        assert.equal(total.usd, portions * 0.25);
        assert.equal(total.completion_tokens, portions * 4);
        assert.equal(
          data.reduce((sum, { requests }) => sum + requests, 0),
          mine.length,
        );
        assert.equal(
          data.reduce((sum, { usd }) => sum + usd, 0),
          total.usd,
        );
        assert.equal(new Set(data.map((row) => JSON.stringify(Object.values(row)[0]))).size, data.length);
      }
    }),
  );
});
const portionOf = { cluster: 'aws', attempt: 1, promptTokens: 3, completionTokens: 4, usd: 0.25 };

test('a query reaches whole hours, from the first to before the last', () => {
  const query = { by: 'key', from: '2026-03-10T01:30:00Z', to: '2026-03-10T02:00:00Z' };
  assert.deepEqual(parseCostsQuery(query, startMs), {
    by: 'key',
    fromMs: startMs + hourMs,
    toMs: startMs + 2 * hourMs,
  });
  const { fromMs, toMs } = parseCostsQuery({}, startMs);
  assert.deepEqual([fromMs, toMs], [startMs - 32 * dayMs, startMs + hourMs]);
});
