import assert from 'node:assert/strict';
import test from 'node:test';
import { type Calibration, line } from './calibrate.ts';
import { differencesOf } from './compare.ts';
import { type Sized, simulate } from './model.ts';
import { clusters } from './setting.ts';

const calibration: Calibration = {
  prefillTps: [200, 160, 100],
  decodeTps: [
    [80, 80, 80],
    [70, 70, 70],
    [45, 45, 45],
  ],
  overheadMs: 20,
  bootMs: 3_000,
};
const alone: Sized = {
  id: 0,
  atMs: 1_000,
  maxTokens: 41,
  promptTokens: 104,
  uncachedTokens: 100,
  completionTokens: 41,
};
const horizonMs = 120_000;

test('a request alone takes what the calibration says: around, prompt, answer', () => {
  const { ttftsMs, totalsMs, tokens } = simulate([alone], horizonMs, calibration, {});
  assert.deepEqual(ttftsMs.map(Math.round), [20 + 500]);
  assert.deepEqual(totalsMs.map(Math.round), [20 + 500 + 500]);
  assert.equal(tokens, 41);
});

test('while all three are at work each is as slow as it was measured then', () => {
  const nine = Array.from({ length: 9 }, (_, id) => ({ ...alone, id }));
  const { ttftsMs, requests } = simulate(nine, horizonMs, calibration, {});
  assert.deepEqual(Object.values(requests), [3, 3, 3]);
  // Three prompts at once on each, at the speed of three at work.
  for (const ttftMs of ttftsMs) assert.equal(Math.round(ttftMs), 20 + 3_000);
});

test('nodes that nobody needs are not paid to the end', () => {
  const { paid } = simulate([alone], horizonMs, calibration, {});
  const dearest = paid.filter(({ cluster }) => cluster === clusters.at(-1)?.id);
  assert.ok(dearest.length > 0 && dearest.every(({ toMs }) => toMs < horizonMs));
});

test('a difference of more than 15 % is not within the goal, in whichever direction', () => {
  const played = (ttftMs: number) => ({
    answers: [
      {
        planned: { id: 0, atMs: 0, words: 1, maxTokens: 1 },
        answer: {
          cluster: 'a',
          attempts: 1,
          startedAtMs: 0,
          saidAtMs: [ttftMs],
          endedAtMs: ttftMs,
          promptTokens: 1,
          cachedTokens: 0,
          completionTokens: 1,
        },
      },
    ],
    paid: [],
    settledUsd: {},
    settledTokens: 0,
    requests: {},
    othersShare: 0,
    firstRates: {},
    failures: [],
  });
  const simulated = {
    ttftsMs: [100],
    totalsMs: [100],
    done: 1,
    tokens: 1,
    paid: [],
    settledUsd: {},
    requests: {},
  };
  const ttftMet = (real: number) => differencesOf(played(real), simulated)[0]?.met;
  assert.deepEqual([80, 90, 110, 120].map(ttftMet), [false, true, true, false]);
});

test('one disturbed point does not move the line through the others', () => {
  const points = [1, 2, 3, 4, 5, 6].map((x) => ({ x, y: 10 + 5 * x }));
  const { slope, intercept } = line([...points, { x: 3.5, y: 900 }]);
  assert.ok(Math.abs(slope - 5) < 1e-9 && Math.abs(intercept - 10) < 1e-9);
});
