import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { fitted, painted } from './paint.ts';

test('colours change no letter and no place of a screen', () => {
  const words = fc.constantFrom(
    'ready',
    'silent',
    'at-zero',
    'dead letters: 3',
    'cluster ',
    'aws-1',
    '  ',
    'paused (x)',
  );
  fc.assert(
    fc.property(fc.array(fc.array(words)), (lines) => {
      const screen = lines.map((line) => line.join(' ')).join('\n');
      assert.equal(stripVTControlCharacters(painted(screen)), screen);
    }),
  );
});

test('a screen is never larger than the terminal, and says how much is not shown', () => {
  const sizes = fc.record({
    columns: fc.integer({ min: 20, max: 80 }),
    rows: fc.integer({ min: 2, max: 30 }),
  });
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 200 })), sizes, (given, size) => {
      const screen = given.map((line) => line.replaceAll('\n', '')).join('\n');
      const lines = fitted(screen, size).split('\n');
      assert.ok(lines.length <= size.rows);
      for (const line of lines) assert.ok([...line].length <= size.columns);
    }),
  );
  assert.equal(fitted('a\nb\nc\nd', { columns: 9, rows: 3 }).split('\n').at(-1), '… 2 more lines');
});
