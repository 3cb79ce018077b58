import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unitsFromLastEventId } from './sse.ts';

test('a Last-Event-ID is a number of units or nothing', () => {
  assert.equal(unitsFromLastEventId(undefined), 0);
  assert.equal(unitsFromLastEventId('17'), 17);
  for (const bad of ['-1', '1.5', 'x', '1e3', '9999999999'])
    assert.equal(unitsFromLastEventId(bad), undefined);
});
