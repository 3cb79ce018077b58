import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findPython } from './parts.ts';

test('a missing Python and one that is too old are told apart in the same sentence', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'drover-python-'));
  const old = join(folder, 'python');
  writeFileSync(old, '#!/bin/sh\necho 3.9\n', { mode: 0o755 });
  await assert.rejects(findPython([join(folder, 'missing')]), {
    name: 'Problem',
    message: /^Python 3\.10 or newer is needed .*\(none was found\)/,
  });
  await assert.rejects(findPython([join(folder, 'missing'), old]), { message: /is 3\.9\)/ });
  rmSync(folder, { recursive: true });
});
