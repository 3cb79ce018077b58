import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flushDelayMs, liveFlush, quietFlush } from './flush.ts';

test('the first units of a streamed reply wait for nothing', () => {
  assert.equal(flushDelayMs(liveFlush(5), { said: false, lastMs: 100, pending: 1 }, 100), 0);
});

test('later units wait until the interval is over or eight are together', () => {
  assert.equal(flushDelayMs(liveFlush(5), { said: true, lastMs: 100, pending: 1 }, 102), 3);
  assert.equal(flushDelayMs(liveFlush(5), { said: true, lastMs: 100, pending: 1 }, 105), 0);
  assert.equal(flushDelayMs(liveFlush(5), { said: true, lastMs: 100, pending: 8 }, 101), 0);
});

test('a reply that nobody watches is said four times a second, however many units there are', () => {
  assert.equal(flushDelayMs(quietFlush, { said: false, lastMs: 0, pending: 500 }, 100), 150);
  assert.equal(flushDelayMs(quietFlush, { said: true, lastMs: 0, pending: 1 }, 250), 0);
});
