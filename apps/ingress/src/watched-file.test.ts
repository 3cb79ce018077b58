import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '@drover/runtime';
import { z } from 'zod';
import { watchFile } from './watched-file.ts';

const schema = z.strictObject({ v: z.literal(1), name: z.string() });
const log = createLogger('test', 'fatal');

async function eventually(condition: () => boolean): Promise<void> {
  const giveUpAtMs = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > giveUpAtMs) throw new Error('did not happen within 5 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function folder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'drover-file-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

test('a new version counts, and a bad one leaves the last good one in force', async () => {
  using home = folder();
  const file = join(home.path, 'keys.json');
  const write = (content: string) => {
    writeFileSync(`${file}.new`, content);
    renameSync(`${file}.new`, file);
  };
  write('{"v":1,"name":"first"}');
  const problems: unknown[] = [];
  const noisy = Object.assign(Object.create(log), { error: (detail: unknown) => problems.push(detail) });
  const watched = watchFile(file, schema, ({ name }) => name, noisy);
  try {
    assert.equal(watched.current(), 'first');
    write('{"v":1,"name":"second"}');
    await eventually(() => watched.current() === 'second');
    write('{"v":1,"nam');
    await eventually(() => problems.length > 0);
    assert.equal(watched.current(), 'second');
    writeFileSync(file, '{"v":1,"name":"third"}');
    await eventually(() => watched.current() === 'third');
  } finally {
    watched.stop();
  }
});

test('a first version that is no good is an error', () => {
  using home = folder();
  const file = join(home.path, 'keys.json');
  assert.throws(() => watchFile(file, schema, (content) => content, log), /ENOENT/);
  writeFileSync(file, '{"v":2}');
  assert.throws(() => watchFile(file, schema, (content) => content, log), /keys\.json: v/);
});
