import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { takeRunLock } from './run-lock.ts';

const info = { pid: 7, url: 'http://127.0.0.1:1', processes: {} };

function folder(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), 'drover-lock-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

test('a second run in the same folder is told who has it, and may start when that one has ended', async () => {
  using state = folder();
  const first = await takeRunLock(state.path, () => info);
  assert.ok('release' in first);
  assert.deepEqual(await takeRunLock(state.path, () => info), { holder: info });
  await first.release();
  const third = await takeRunLock(state.path, () => info);
  assert.ok('release' in third);
  await third.release();
});

test('the leftover of a run that was killed does not keep the next one from starting', async () => {
  using state = folder();
  writeFileSync(join(state.path, 'run.sock'), '');
  const lock = await takeRunLock(state.path, () => info);
  assert.ok('release' in lock);
  await lock.release();
});
