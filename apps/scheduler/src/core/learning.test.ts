import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { aRequest, aWaiting, cluster } from '../../testing/builders.ts';
import { TokenCounters } from './fairness.ts';
import { prefixOf, tokensPerWindow } from './prefix.ts';
import { PrefixIndex } from './prefix-index.ts';
import { Realised } from './realised.ts';
import { isHeldBack } from './reserve.ts';
import { Residuals } from './residuals.ts';

const aws = cluster('aws');
const tenant = (name: string) => aWaiting({ tenant: name }).request.tenant;
const chat = (...texts: string[]) =>
  aRequest({
    body: {
      model: 'm1',
      messages: texts.map((content, n) => ({ role: n % 2 ? 'assistant' : 'user', content })),
    },
  });

test('prompts share as many links as they share windows from the start', () => {
  const first = 'once upon a time '.repeat(40);
  const turn = prefixOf(chat(first));
  const next = prefixOf(chat(first, 'an answer', 'go on '.repeat(60)));
  const other = prefixOf(chat(`x${first}`));
  assert.ok(turn.length >= 2 && next.length > turn.length);
  assert.deepEqual(next.slice(0, turn.length), turn);
  assert.notEqual(other[0], turn[0]);
  assert.deepEqual(prefixOf(chat('short')), []);
});

test('links tell nothing of the text and are as many as there are windows, at most 64', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 600 }), (text) => {
      const links = prefixOf(chat(text.repeat(40)));
      assert.ok(links.length <= 64);
      for (const link of links) assert.match(link, /^[0-9a-z]+-[0-9a-z]+$/);
    }),
  );
});

test('a cluster is credited with what it has answered, until that is too long ago', () => {
  const index = new PrefixIndex();
  index.learn(aws, ['a', 'b', 'c'], 0);
  assert.equal(index.cachedTokens(aws, ['a', 'b', 'x'], 1_000, 5_000), 2 * tokensPerWindow);
  assert.equal(index.cachedTokens(aws, ['x', 'b'], 1_000, 5_000), 0);
  assert.equal(index.cachedTokens(aws, ['a'], 6_000, 5_000), 0);
  assert.equal(index.cachedTokens(cluster('gcp'), ['a'], 0, 5_000), 0);
});

test('a cluster that does not keep what was promised is credited with less, but never with nothing', () => {
  const index = new PrefixIndex();
  index.learn(aws, ['a'], 0);
  const before = index.cachedTokens(aws, ['a'], 0, 1_000);
  for (let n = 0; n < 100; n++) index.correct(aws, index.cachedTokens(aws, ['a'], 0, 1_000), 0);
  const after = index.cachedTokens(aws, ['a'], 0, 1_000);
  assert.ok(after > 0 && after < before / 10);
  for (let n = 0; n < 100; n++) index.correct(aws, index.cachedTokens(aws, ['a'], 0, 1_000), before);
  assert.ok(index.cachedTokens(aws, ['a'], 0, 1_000) > before * 0.9);
});

test('a residual follows what is seen, within its bounds', () => {
  const residuals = new Residuals();
  assert.equal(residuals.factor(aws), undefined);
  for (let n = 0; n < 200; n++) residuals.learn(aws, 100, 150);
  assert.ok(Math.abs((residuals.factor(aws) ?? 0) - 1.5) < 0.01);
  for (let n = 0; n < 200; n++) residuals.learn(aws, 100, 1e9);
  assert.ok((residuals.factor(aws) ?? 0) <= 3);
  residuals.learn(aws, 0, 5);
  assert.ok(Number.isFinite(residuals.factor(aws)));
});

test('what a cluster has really cost is price × nodes × time over the tokens, idle time included', () => {
  const realised = new Realised();
  realised.pay(aws, 2, 0.1, 0);
  realised.pay(aws, 2, 0.1, 60_000);
  assert.equal(realised.usdPer1k(aws), undefined, 'nothing was delivered');
  realised.deliver(aws, 1_000);
  assert.equal(realised.usdPer1k(aws)?.toFixed(9), ((2 * 0.1) / 60).toFixed(9));
  realised.pay(aws, 2, 0.1, 120_000);
  assert.ok((realised.usdPer1k(aws) ?? 0) > (2 * 0.1) / 60, 'an idle minute makes it dearer');
});

test('counters charge by weight, and give back what was charged too much', () => {
  const counters = new TokenCounters();
  counters.charge(tenant('a'), { prompt: 100, output: 50 }, 1);
  counters.charge(tenant('b'), { prompt: 100, output: 50 }, 2);
  assert.deepEqual([counters.had(tenant('a')), counters.had(tenant('b'))], [200, 100]);
  counters.charge(tenant('a'), { prompt: 0, output: -20 }, 1);
  assert.equal(counters.had(tenant('a')), 160);
});

test('a pause cannot be saved up: who comes back starts at the least of those that wait', () => {
  const counters = new TokenCounters();
  counters.charge(tenant('a'), { prompt: 1_000, output: 0 }, 1);
  counters.charge(tenant('b'), { prompt: 700, output: 0 }, 1);
  counters.lift(tenant('c'), [tenant('a'), tenant('b')]);
  assert.equal(counters.had(tenant('c')), 700);
  counters.lift(tenant('a'), [tenant('b')]);
  assert.equal(counters.had(tenant('a')), 1_000, 'nobody is lowered');
});

test('slots are kept for interactive requests, but for no longer than the others can wait', () => {
  const reserve = { share: 0.25, standardWaitMs: 10_000, batchWaitMs: 60_000 };
  const held = (priority: string, free: number, nowMs: number) =>
    isHeldBack({ ...aWaiting({ priority }), arrivedAtMs: 0 }, 8, free, reserve, nowMs);
  assert.equal(held('interactive', 1, 0), false);
  assert.equal(held('standard', 2, 9_999), true);
  assert.equal(held('standard', 3, 0), false);
  assert.equal(held('standard', 1, 10_000), false);
  assert.equal(held('batch', 1, 59_999), true);
});
