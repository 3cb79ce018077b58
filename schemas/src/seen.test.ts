import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nothingSeen, seenOf } from './seen.ts';
import type { Unit } from './transcript.ts';

const unit: fc.Arbitrary<Unit> = fc.oneof(
  fc.record({ k: fc.constant('token' as const), id: fc.nat(), t: fc.string() }),
  fc.record({ k: fc.constant('delta' as const), choices: fc.array(fc.record({ text: fc.string() })) }),
  fc.record({ k: fc.constant('body' as const), t: fc.string() }),
);

test('what was seen is one number of 32 bits, which any other unit changes', () => {
  fc.assert(
    fc.property(fc.array(unit, { minLength: 1 }), fc.nat(), (units, at) => {
      const seen = seenOf(units);
      assert.ok(Number.isInteger(seen) && seen >= 0 && seen < 2 ** 32);
      const index = at % units.length;
      const other = units.with(index, { k: 'token', id: 7_777_777, t: '' });
      assert.notEqual(seenOf(other), seen);
      assert.notEqual(seenOf(units.slice(0, -1)), seen);
    }),
  );
  assert.equal(seenOf([]), nothingSeen);
});

test('the text of a token does not count: it may come with a later one', () => {
  const token = (t: string): Unit => ({ k: 'token', id: 5, t });
  assert.equal(seenOf([token('a')]), seenOf([token('')]));
});
