import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createRegistry } from '@drover/runtime';
import { tenantId } from '@drover/schemas';
import { pino } from 'pino';
import { eventually } from '../../apps/agent/testing/bed.ts';
import { createMetrics } from '../../apps/scheduler/src/metrics.ts';
import { startScheduler } from '../../apps/scheduler/src/start.ts';
import { ensureApiKey } from '../../infra/local/src/keys.ts';
import { startFakeLlama } from '../support/fake-llama.ts';
import { connectTo, startHub } from '../support/hub.ts';
import { freePort } from '../support/nats-server.ts';
import { startProxy } from '../support/proxy.ts';

const app = (name: string): string =>
  fileURLToPath(new URL(`../../apps/${name}/src/main.ts`, import.meta.url));

const tenant = tenantId.parse('t1');

type Started = AsyncDisposable & {
  readonly child: ChildProcess;
  output(): string;
  /** What `/readyz` answers; 0 while nobody does. */
  readyz(): Promise<number>;
  /** Its exit code after a SIGTERM. */
  end(): Promise<number | null>;
};

async function start(name: string, env: Record<string, string>): Promise<Started> {
  const port = await freePort();
  const child = spawn(process.execPath, [app(name)], {
    env: { PATH: process.env.PATH, METRICS_PORT: String(port), ...env },
  });
  const exited = once(child, 'exit');
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => {
      output += data.toString();
    });
  return {
    child,
    output: () => output,
    readyz: async () => (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.status ?? 0,
    end: async () => {
      child.kill('SIGTERM');
      await exited;
      return child.exitCode;
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

const folder = mkdtempSync(join(tmpdir(), 'drover-start-'));
after(() => rmSync(folder, { recursive: true }));

/** What each app needs besides NATS. */
async function envOf(name: string, llamaUrl: string): Promise<Record<string, string>> {
  switch (name) {
    case 'agent':
      return { CLUSTER: 'c1', LLAMA_URL: llamaUrl, BENCHMARK: 'off', DRAIN_MS: '0' };
    case 'ingress':
      return { HTTP_PORT: String(await freePort()), API_KEYS_FILE: ensureApiKey(folder, tenant).keysFile };
    default:
      return {};
  }
}

for (const name of ['scheduler', 'ingress', 'agent']) {
  test(`${name}: started without a nats-server it says so, is not ready, and ends with code 0 on SIGTERM`, async () => {
    await using llama = await startFakeLlama();
    const url = `nats://127.0.0.1:${await freePort()}`;
    await using started = await start(name, { NATS_URL: url, ...(await envOf(name, llama.url)) });
    await eventually(async () => assert.equal(await started.readyz(), 503), 10_000);
    await eventually(() => assert.match(started.output(), /waiting for nats/), 10_000);
    assert.equal(await started.readyz(), 503);
    assert.equal(await started.end(), 0, started.output());
  });
}

test('a scheduler whose nats-server falls silent at any moment of its start waits, says for what, and then works', async () => {
  await using hub = await startHub(['c1']);
  for (const afterMs of [0, 4, 8, 16]) {
    await using link = await startProxy(hub.port);
    await using nats = await connectTo(`nats://127.0.0.1:${link.port}`);
    const lines: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
    const metrics = createMetrics(createRegistry('test'));
    const starting = startScheduler(nats, { log, metrics, schedulerId: 's1' });
    if (afterMs > 0) await sleep(afterMs);
    link.freeze();
    if (afterMs === 0) await eventually(() => assert.match(lines.join(''), /does not answer/), 10_000);
    else await sleep(2_500);
    link.thaw();
    const scheduler = await starting;
    await scheduler.stop();
  }
});
