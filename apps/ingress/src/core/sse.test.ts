import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nothingSeen } from '@drover/schemas';
import fc from 'fast-check';
import { numbered, seenFromLastEventId } from './sse.ts';

test('a Last-Event-ID is the id of an event, a number of units, or nothing', () => {
  assert.deepEqual(seenFromLastEventId(undefined), { units: 0, digest: nothingSeen });
  assert.deepEqual(seenFromLastEventId('17'), { units: 17, digest: undefined });
  for (const bad of ['-1', '1.5', 'x', '1e3', '9999999999', '3-', '3-A', '3-zzzzzzzz'])
    assert.equal(seenFromLastEventId(bad), undefined);
});

test('the id of an event says what a reader has seen', () => {
  const seen = fc.record({ units: fc.nat({ max: 999_999_999 }), digest: fc.nat({ max: 2 ** 32 - 1 }) });
  fc.assert(
    fc.property(seen, (said) => {
      const [, id] = /^id: (.*)$/m.exec(numbered(said, '{}')) ?? [];
      assert.deepEqual(seenFromLastEventId(id), { ...said });
    }),
  );
});
