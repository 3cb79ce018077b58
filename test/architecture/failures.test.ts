import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { failures } from '@drover/schemas';

test('docs/failures.md lists every failure code with its status and type, and no other', () => {
  const page = readFileSync(new URL('../../docs/failures.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\d{3}) \| (\w+) \| (yes|no) \|/gm)];
  const documented = Object.fromEntries(
    rows.map(([, code, http, type, retry]) => [code, { http: Number(http), type, retry: retry === 'yes' }]),
  );
  assert.deepEqual(documented, failures);
});
