import assert from 'node:assert/strict';
import { test } from 'node:test';
import { traceparentOf } from './traceparent.ts';

test('a valid traceparent is kept, any other replaced by a valid one', () => {
  const random = () => '07'.repeat(32);
  const given = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  assert.equal(traceparentOf(given, random), given);
  for (const bad of [undefined, '', 'x', given.toUpperCase(), `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`]) {
    const made = traceparentOf(bad, random);
    assert.equal(traceparentOf(made, random), made);
    assert.match(made, /^00-(07){16}-(07){8}-01$/);
  }
});
