import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from './problem.ts';

test('a full disk is told in three words, whichever tool met it', () => {
  assert.equal(explain(Object.assign(new Error('write'), { code: 'ENOSPC' })), 'the disk is full');
  assert.equal(
    explain({ stderr: 'ERROR: [Errno 28] No space left on device', message: '' }),
    'the disk is full',
  );
});

test('of a failed command the line with the error is told, not its last notice', () => {
  const stderr = 'ERROR: no matching distribution\n[notice] a new release of pip is available';
  assert.equal(explain({ stderr, message: 'Command failed' }), 'ERROR: no matching distribution');
});
