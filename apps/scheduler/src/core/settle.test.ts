import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ledgerRecord, type Outcome, type Portion, requestId, tenantId } from '@drover/schemas';
import fc from 'fast-check';
import { chargeFor, type Ended, settle } from './settle.ts';

const portion = (change: Partial<Portion> = {}): Portion => ({
  cluster: 'aws',
  attempt: 1,
  promptTokens: 100,
  completionTokens: 50,
  usdPer1k: 0.002,
  usdPer1kPrompt: 0.0005,
  ...change,
});
const done: Outcome = { status: 'done', finish: 'stop', units: 50 };
const ended = (change: Partial<Ended['event']> = {}): Ended => ({
  tenant: tenantId.parse('t1'),
  id: requestId.parse('r1'),
  storedAtMs: 1_000,
  event: { v: 1, state: 'ended', attempt: 1, atMs: 5, outcome: done, ...change },
});

test('a portion costs its prompt at the price of reading and its answer at the price of writing', () => {
  assert.equal(chargeFor(portion()), (100 * 0.0005 + 50 * 0.002) / 1_000);
});

test('reading is never charged more than writing, so a ceiling on the output bounds everything', () => {
  fc.assert(
    fc.property(
      fc.nat(100_000),
      fc.nat(100_000),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 10, noNaN: true }),
      (promptTokens, completionTokens, usdPer1k, usdPer1kPrompt) => {
        const usd = chargeFor(portion({ promptTokens, completionTokens, usdPer1k, usdPer1kPrompt }));
        assert.ok(usd !== undefined && usd <= ((promptTokens + completionTokens) * usdPer1k) / 1_000 + 1e-12);
      },
    ),
  );
});

test('a price that is needed and unknown leaves the cost unknown, one that is not needed does not', () => {
  assert.equal(chargeFor(portion({ usdPer1k: undefined })), undefined);
  assert.equal(chargeFor(portion({ usdPer1kPrompt: undefined })), undefined);
  assert.equal(chargeFor(portion({ promptTokens: 0, usdPer1kPrompt: undefined })), 0.0001);
  assert.equal(chargeFor(portion({ promptTokens: 0, completionTokens: 0, usdPer1k: undefined })), 0);
});

test('a record sums its portions, whatever the outcome was', () => {
  const metered = [portion(), portion({ cluster: 'gcp', attempt: 2, promptTokens: 0, completionTokens: 7 })];
  const outcomes: Outcome[] = [
    done,
    { status: 'cancelled', units: 3 },
    { status: 'failed', code: 'backend_failed', message: 'it broke', units: 0 },
  ];
  for (const outcome of outcomes) {
    const record = settle(ended({ outcome, metered, key: 'k', model: 'm', priority: 'batch' }));
    assert.equal(record.status, outcome.status);
    assert.equal(record.promptTokens, 100);
    assert.equal(record.completionTokens, 57);
    assert.ok(Math.abs((record.usd ?? Number.NaN) - 0.000164) < 1e-15);
    assert.equal(record.unpriced, undefined);
    assert.equal(record.endedAtMs, 1_000);
    assert.deepEqual(ledgerRecord.parse(record), record);
  }
});

test('what never ran costs nothing', () => {
  const outcome: Outcome = { status: 'failed', code: 'model_not_found', message: 'no', units: 0 };
  for (const change of [{ attempt: 0 }, { attempt: 3, metered: [] }]) {
    const record = settle(ended({ outcome, ...change }));
    assert.equal(record.usd, 0);
    assert.equal(record.unpriced, undefined);
    assert.equal(record.code, 'model_not_found');
  }
});

test('a cost that nobody can tell is not made up', () => {
  const usage = { promptTokens: 5, completionTokens: 6 };
  const unmetered = settle(ended({ outcome: { ...done, usage } }));
  assert.equal(unmetered.usd, undefined);
  assert.equal(unmetered.unpriced, true);
  assert.equal(unmetered.completionTokens, 6);
  const half = settle(ended({ metered: [portion(), portion({ attempt: 2, usdPer1k: undefined })] }));
  assert.equal(half.usd, undefined);
  assert.equal(half.portions[0]?.usd, chargeFor(portion()));
});
