import assert from 'node:assert/strict';
import { test } from 'node:test';
import { takeProbe, unknownHealth } from './health.ts';

const never = Number.NEGATIVE_INFINITY;
const up = takeProbe(unknownHealth(0), { kind: 'up' }, never, 10);

test('a backend that was up before anybody looked has no boot time', () => {
  assert.deepEqual(up, { state: 'up', lastUpMs: 10, bootMs: undefined });
});

test('boot time runs from the first look that found it away until it answers', () => {
  const away = takeProbe(unknownHealth(0), { kind: 'gone', message: 'refused' }, never, 100);
  const loading = takeProbe(away, { kind: 'loading' }, never, 500);
  assert.deepEqual(takeProbe(loading, { kind: 'up' }, never, 900), {
    state: 'up',
    lastUpMs: 900,
    bootMs: 900,
  });
});

test('one slow answer is not down, silence is, and a backend that says tokens is not silent', () => {
  assert.equal(takeProbe(up, { kind: 'silent' }, never, 1_000).state, 'up');
  assert.equal(takeProbe(up, { kind: 'silent' }, never, 1_600).state, 'down');
  assert.equal(takeProbe(up, { kind: 'silent' }, 1_500, 1_600).state, 'up');
});

test('a refused connection is down at once', () => {
  assert.equal(takeProbe(up, { kind: 'gone', message: 'refused' }, 11, 12).state, 'down');
});
