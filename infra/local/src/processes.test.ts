import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Guard } from './guard.ts';
import { answers, ManagedProcess, type ProcessSpec } from './processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'drover-processes-'));
after(() => rmSync(folder, { recursive: true }));

const noGuard: Guard = { pid: 0, watch: () => {}, forget: () => {}, dismiss: () => {} };

/** A process that runs this JavaScript. */
const script = (code: string, more: Partial<ProcessSpec> = {}): ProcessSpec => ({
  name: 'part',
  command: [process.execPath, '-e', code],
  logFile: join(folder, 'part.log'),
  ready: async () => {},
  stopWithinMs: 5_000,
  ...more,
});

test('a process that ends while it starts is told with the words of its log', async () => {
  const part = new ManagedProcess(
    script('console.error("Error: no luck"); process.exit(3)', {
      ready: (signal) => answers('http://127.0.0.1:1/', signal),
    }),
    { say: () => {}, guard: noGuard, restart: false },
  );
  await assert.rejects(part.start(), /^Problem: part ended while it started: Error: no luck/);
});

test('a process that cannot be started at all is a problem, not a crash', async () => {
  const spec = { ...script(''), command: [join(folder, 'missing')], ready: waitForAbort };
  const part = new ManagedProcess(spec, { say: () => {}, guard: noGuard, restart: false });
  await assert.rejects(part.start(), /ended while it started/);
});

test('a process that ends by itself is started again with a line that says so; one that was stopped is not', async () => {
  const lines: string[] = [];
  const back = Promise.withResolvers<void>();
  const say = (line: string) => {
    lines.push(line);
    if (line === 'part is back') back.resolve();
  };
  const part = new ManagedProcess(script('setInterval(() => {}, 1e6)'), {
    say,
    guard: noGuard,
    restart: true,
  });
  await part.start();
  const first = part.pid;
  await part.kill('SIGKILL');
  await back.promise;
  assert.notEqual(part.pid, first);
  assert.equal(lines[0], 'part was ended by SIGKILL; starting it again in 0.5 s');
  await part.stop();
  assert.equal(part.pid, undefined);
  assert.equal(lines.length, 2);
});

test('a process that ignores SIGTERM is killed when its time is over', async () => {
  const port = await freePort();
  const deaf = `process.on("SIGTERM", () => {});
    require("node:http").createServer((_, answer) => answer.end()).listen(${port}, "127.0.0.1")`;
  const part = new ManagedProcess(
    script(deaf, { stopWithinMs: 100, ready: (signal) => answers(`http://127.0.0.1:${port}/`, signal) }),
    { say: () => {}, guard: noGuard, restart: false },
  );
  await part.start();
  await part.stop();
  assert.equal(part.pid, undefined);
});

const waitForAbort = (signal: AbortSignal): Promise<void> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address !== null && typeof address === 'object' ? address.port : 0;
}
