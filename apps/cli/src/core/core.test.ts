import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  agentId,
  clusterId,
  type Report,
  type RequestInput,
  requestId,
  type Tariff,
  tariff,
} from '@drover/schemas';
import fc from 'fast-check';
import { changeLines, difference } from './difference.ts';
import { clusterStatus } from './fleet.ts';
import { requestIn, retried, retryId } from './retry.ts';
import { screen } from './screen.ts';
import { table } from './table.ts';
import { duration, usd } from './words.ts';

const anyId = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).map((id) => requestId.parse(id));
const anySeq = fc.integer({ min: 1, max: 2 ** 40 });

test('the id of a retry is a valid one, the same each time, and another for each letter', () => {
  fc.assert(
    fc.property(anyId, anyId, anySeq, anySeq, (id, otherId, seq, otherSeq) => {
      const made = retryId(id, seq);
      assert.equal(requestId.parse(made), made);
      assert.equal(retryId(id, seq), made);
      if (seq !== otherSeq) assert.notEqual(retryId(id, otherSeq), made);
      assert.ok(id === otherId || retryId(otherId, seq) !== made);
      assert.ok(made !== id);
    }),
  );
});

const input = {
  v: 1,
  id: requestId.parse('r1'),
  tenant: 't1',
  submittedAtMs: 1_000,
  deadlineAtMs: 31_000,
  endpoint: 'chat',
  body: { model: 'm', messages: [{ role: 'user', content: 'hi' }] },
};

test('a request is found in a request and in a job, and in nothing else', () => {
  assert.equal(requestIn(input)?.id, 'r1');
  assert.equal(requestIn({ v: 1, request: input, cluster: 'aws', attempt: 2, queueMs: 0 })?.id, 'r1');
  for (const other of [undefined, {}, { ...input, tenant: 'a.b' }, 'text'])
    assert.equal(requestIn(other), undefined);
});

test('a retried request has as much time as it had, or as it is given', () => {
  const request = requestIn(input satisfies Partial<Record<keyof RequestInput, unknown>>);
  assert.ok(request);
  const again = retried(request, { seq: 7, nowMs: 100_000, withinMs: undefined });
  assert.deepEqual([again.id, again.submittedAtMs, again.deadlineAtMs], ['r1-r7', 100_000, 130_000]);
  assert.equal(retried(request, { seq: 7, nowMs: 0, withinMs: 5_000 }).deadlineAtMs, 5_000);
  assert.deepEqual(again.body, request.body);
});

test('a difference names every leaf that changed, and nothing for equal values', () => {
  const changes = difference(
    { strategy: 'cost', breaker: { openMs: 1, windowMs: 2 }, order: ['a'] },
    { strategy: 'latency', breaker: { openMs: 1, windowMs: 3 }, order: ['a', 'b'] },
  );
  assert.deepEqual(changeLines(changes), [
    'breaker.windowMs: 2 → 3',
    'order: ["a"] → ["a","b"]',
    'strategy: "cost" → "latency"',
  ]);
  assert.deepEqual(changeLines(difference(undefined, { a: 1 })), [': - → {"a":1}']);
  fc.assert(fc.property(fc.jsonValue(), (value) => assert.deepEqual(difference(value, value), [])));
});

test('columns of a table stand below each other, whatever is in them', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.stringMatching(/^\w{1,9}$/), fc.stringMatching(/^\w{1,9}$/))),
      (rows) => {
        const lines = table(['first', 'second'], rows).split('\n');
        const column = lines[0]?.indexOf('second') ?? -1;
        assert.equal(lines.length, rows.length + 1);
        for (const [n, [, second]] of rows.entries()) assert.equal(lines[n + 1]?.slice(column), second);
      },
    ),
  );
});

const report = (change: Partial<Report> = {}): Report => ({
  v: 1,
  cluster: clusterId.parse('aws'),
  agent: agentId.parse('a1'),
  seq: 1,
  startedAtMs: 0,
  sentAtMs: 0,
  phase: 'ready',
  slots: 4,
  inFlight: [],
  rates: {
    decode: [
      { b: 1, tps: 20, n: 100 },
      { b: 4, tps: 50, n: 100 },
    ],
  },
  ...change,
});
const price = tariff.parse({
  v: 1,
  usdPerHour: 0.18,
  market: 'spot',
  source: 'test',
  asOf: '2026-01-01T00:00:00Z',
});
const facts = { cluster: 'aws', backlog: { running: 1, waiting: 0 }, nowMs: Date.parse(price.asOf) };

test('the price of a thousand tokens is the node price over what the node makes with all slots busy', () => {
  const status = clusterStatus({ ...facts, reports: [{ report: report(), ageMs: 10 }], tariff: price });
  assert.equal(status.tokensPerSecond, 50);
  assert.ok(Math.abs((status.usdPer1k ?? 0) - 0.001) < 1e-12);
});

test('what is not known of a cluster is absent, never a zero', () => {
  const { rates: _, ...unmeasured } = report();
  const status = clusterStatus({ ...facts, reports: [{ report: unmeasured, ageMs: 10 }] });
  for (const key of ['usdPer1k', 'usdPerHour', 'tokensPerSecond', 'cordoned'])
    assert.ok(!(key in status), key);
});

test('a price past its time is shown as stale, and for how long; one in time, or without a time, is not', () => {
  const at = (nowMs: number, tariff: Tariff) =>
    clusterStatus({ ...facts, reports: [], tariff, nowMs: facts.nowMs + nowMs });
  const timed = { ...price, validForMs: 3_600_000 };
  assert.equal(at(10_800_000, timed).priceStaleMs, 7_200_000);
  assert.ok(!('priceStaleMs' in at(3_599_000, timed)) && !('priceStaleMs' in at(9e12, price)));
  const base = { atMs: 0, policy: null, queue: [], deadLetters: 0 } as const;
  assert.match(screen({ ...base, clusters: [at(10_800_000, timed)] }), /\$0\.18, stale for 2\.0 h/);
  assert.doesNotMatch(screen({ ...base, clusters: [at(1, timed)] }), /stale/);
});

test('a cluster without reports is at zero, one with only old ones is silent', () => {
  assert.equal(clusterStatus({ ...facts, reports: [] }).phase, 'at-zero');
  assert.equal(clusterStatus({ ...facts, reports: [{ report: report(), ageMs: 9_000 }] }).phase, 'silent');
  const both = [report({ phase: 'draining' }), report()].map((one) => ({ report: one, ageMs: 1 }));
  assert.equal(clusterStatus({ ...facts, reports: both }).phase, 'ready');
});

test('the screen says what is cordoned and why, and that nothing is known where that is so', () => {
  const cordon = { v: 1, reason: 'kernel', by: 'me', asOf: '2026-01-01T00:00:00Z' } as const;
  const base = { atMs: 0, policy: null, queue: [{ band: 'batch', waiting: 3 }], deadLetters: 2 } as const;
  const text = screen({ ...base, clusters: [clusterStatus({ ...facts, reports: [], cordon })] });
  assert.match(text, /cordoned \(kernel\)/);
  assert.match(text, /3 batch; dead letters: 2/);
  assert.match(screen({ ...base, clusters: [] }), /No cluster is known/);
});

test('prices and spans read as people write them', () => {
  assert.deepEqual([0, 0.0000001572, 0.09, 0.0367, 12.5].map(usd), [
    '$0',
    '$0.000000157',
    '$0.09',
    '$0.0367',
    '$12.50',
  ]);
  assert.deepEqual([12, 1_500, 90_000, 7_200_000].map(duration), ['12 ms', '1.5 s', '2 min', '2.0 h']);
});
