import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Nonces } from './nonces.ts';

test('no nonce is taken twice within its life, whenever it comes', () => {
  const use = fc.record({ nonce: fc.constantFrom('a', 'b', 'c'), afterMs: fc.nat({ max: 150 }) });
  fc.assert(
    fc.property(fc.array(use, { maxLength: 60 }), (uses) => {
      const nonces = new Nonces(100, 1_000);
      const takenAtMs = new Map<string, number>();
      let nowMs = 1_000;
      for (const { nonce, afterMs } of uses) {
        nowMs += afterMs;
        const before = takenAtMs.get(nonce);
        const answer = nonces.use(nonce, nowMs);
        if (before !== undefined && nowMs - before < 100) assert.equal(answer, 'seen');
        if (answer === 'fresh') takenAtMs.set(nonce, nowMs);
      }
    }),
  );
});

test('a nonce that cannot be remembered is refused', () => {
  const nonces = new Nonces(100, 2);
  assert.deepEqual(
    ['a', 'b', 'c', 'a'].map((nonce) => nonces.use(nonce, 1_000)),
    ['fresh', 'fresh', 'full', 'seen'],
  );
  assert.equal(nonces.use('c', 1_100), 'fresh');
});
