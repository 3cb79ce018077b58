import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { aRequest, aTariff, aView } from '../../testing/builders.ts';
import { type Circumstances, estimateTokens, predict } from './estimate.ts';
import { OutputLengths } from './output-lengths.ts';
import { promptTokens } from './prompt-tokens.ts';
import { decodeTps } from './rates.ts';

const points = [
  { b: 1, tps: 10, n: 100 },
  { b: 4, tps: 13, n: 100 },
];

test('a measured concurrency is used as measured, and between two the line is taken', () => {
  assert.equal(decodeTps(points, 1), 10);
  assert.equal(decodeTps(points, 4), 13);
  assert.equal(decodeTps(points, 2), 11);
});

test('beyond the measurements the contention model goes through the nearest one', () => {
  const one = points.slice(0, 1);
  assert.equal(decodeTps(one, 4)?.toFixed(2), ((10 * 4) / 3.4).toFixed(2));
  assert.equal(decodeTps([{ b: 2, tps: 20, n: 1 }], 1)?.toFixed(2), (20 / (2 / 1.8)).toFixed(2));
  assert.equal(decodeTps([], 1), undefined);
});

test('throughput beyond the measurements never falls as concurrency grows', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), fc.double({ min: 0.1, max: 1e4, noNaN: true }), (b, tps) => {
      const measured = [{ b, tps, n: 1 }];
      assert.ok((decodeTps(measured, b + 1) ?? 0) >= (decodeTps(measured, b) ?? 0));
    }),
  );
});

const tens = { usual: 10, long: 100 };

test('output tokens are the least of max_tokens and what is usual', () => {
  const limited = aRequest({
    body: { model: 'm1', messages: [{ role: 'user', content: 'x' }], max_tokens: 30 },
  });
  assert.equal(estimateTokens(limited, 1, undefined).outputTokens, 30);
  assert.equal(estimateTokens(limited, 1, tens).outputTokens, 10);
  assert.equal(estimateTokens(limited, 1, tens).outputTokensHigh, 30);
  assert.equal(estimateTokens(aRequest(), 1, undefined).outputTokens, 200);
  assert.equal(estimateTokens(aRequest(), 1, undefined).outputBasis, 'assumed');
  assert.equal(estimateTokens(aRequest(), 1, tens).outputBasis, 'learned');
});

test('an embedding costs its prefill only, and needs no decode rate', () => {
  const embedding = aRequest({ endpoint: 'embedding', body: { model: 'm1', input: 'abcd' } });
  const estimate = estimateTokens(embedding, promptTokens(embedding), undefined);
  const predicted = predict(
    estimate,
    aView('aws', { rates: { prefillTps: 100, decode: [] } }),
    0,
    aTariff(3_600),
  );
  assert.deepEqual(predicted, {
    ttftMs: 10,
    tpotMs: 0,
    totalMs: 10,
    totalHighMs: 10,
    marginalUsd: 0.01,
    shareUsd: 0.01,
  });
});

test('prompt tokens are a quarter of the bytes of text, and exact for ids', () => {
  assert.equal(promptTokens(aRequest()), Math.ceil('hello world'.length / 4));
  const ids = aRequest({ endpoint: 'completion', body: { model: 'm1', prompt: [1, 2, 3] } });
  assert.equal(promptTokens(ids), 3);
  const batch = aRequest({ endpoint: 'embedding', body: { model: 'm1', input: [[1, 2], [3]] } });
  assert.equal(promptTokens(batch), 3);
  const parts = [{ type: 'text', text: 'éééé' }, { type: 'image_url' }];
  const chat = aRequest({ body: { model: 'm1', messages: [{ role: 'user', content: parts }] } });
  assert.equal(promptTokens(chat), 2);
});

test('a prediction is finite and grows with the load', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 5_000 }), (load, prompt) => {
      const estimate = {
        promptTokens: prompt,
        outputTokens: 100,
        outputTokensHigh: 300,
        outputBasis: 'assumed',
      } as const;
      const now = predict(estimate, aView('aws'), load, aTariff());
      const later = predict(estimate, aView('aws'), load + 1, aTariff());
      assert.ok(now && later && Object.values(now).every(Number.isFinite));
      assert.ok(later.totalMs >= now.totalMs);
    }),
  );
});

test('the usual length is the median of recent answers and the long one exceeds nine of ten, once there are five', () => {
  const lengths = new OutputLengths();
  for (const tokens of [10, 20, 1_000, 30]) lengths.learn('t1', 'chat', tokens);
  assert.equal(lengths.known('t1', 'chat'), undefined);
  lengths.learn('t1', 'chat', 40);
  assert.deepEqual(lengths.known('t1', 'chat'), { usual: 30, long: 1_000 });
  assert.equal(lengths.known('t2', 'chat'), undefined);
});

test('a cached prompt is answered sooner and costs less, and a slow cluster is expected to stay slow', () => {
  const estimate = {
    promptTokens: 400,
    outputTokens: 100,
    outputTokensHigh: 100,
    outputBasis: 'learned',
  } as const;
  const at = (change: Partial<Circumstances>) =>
    predict(estimate, aView('aws'), 0, aTariff(), {
      residual: 1,
      cachedTokens: 0,
      idleSeconds: 0,
      ...change,
    });
  const plain = at({});
  const cached = at({ cachedTokens: 200 });
  assert.ok(plain && cached);
  assert.equal(plain.ttftMs - cached.ttftMs, 1_000);
  assert.ok(cached.marginalUsd < plain.marginalUsd);
  assert.equal(at({ residual: 2 })?.totalMs, plain.totalMs * 2);
});
