import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { Kvm } from '@nats-io/kv';
import { connectTo, until } from '../../apps/scheduler/testing/world.ts';
import { freePort, startNatsServer } from '../support/nats-server.ts';

const app = (name: string): string =>
  fileURLToPath(new URL(`../../apps/scheduler/src/${name}.ts`, import.meta.url));

function start(name: string, env: Record<string, string>): { child: ChildProcess; output(): string } {
  const child = spawn(process.execPath, [app(name)], { env: { PATH: process.env.PATH, ...env } });
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    output += data.toString();
  });
  return { child, output: () => output };
}

async function run(
  name: string,
  env: Record<string, string>,
): Promise<{ code: number | null; output: string }> {
  const { child, output } = start(name, env);
  await once(child, 'exit');
  return { code: child.exitCode, output: output() };
}

test('bootstrap makes everything, seeds what is absent, and can be run again', async () => {
  await using server = await startNatsServer();
  using folder = temporaryFolder();
  const price = { v: 1, usdPerHour: 0.1, market: 'spot', source: 'test', asOf: '2025-01-01T00:00:00Z' };
  const env = {
    NATS_URL: server.url,
    CLUSTERS: 'aws, gcp',
    POLICY_FILE: folder.write('policy.json', { v: 1, strategy: 'latency' }),
    MODELS_FILE: folder.write('models.json', {
      v: 1,
      models: [{ name: 'm1', endpoints: ['chat'], contextTokens: 2_048 }],
    }),
    PRICES_FILE: folder.write('prices.json', { aws: price, gcp: price }),
  };
  const first = await run('bootstrap', env);
  assert.equal(first.code, 0, first.output);
  const nats = await connectTo(server.url);
  const prices = await new Kvm(nats.js).open('LLM_PRICES');
  await prices.put('aws', JSON.stringify({ ...price, usdPerHour: 0.7 }));
  const second = await run('bootstrap', env);
  assert.equal(second.code, 0, second.output);
  assert.equal((await prices.get('aws'))?.json<{ usdPerHour: number }>().usdPerHour, 0.7);
  assert.equal((await nats.jsm.consumers.info('LLM_JOBS', 'gcp')).config.filter_subject, 'llm.job.gcp.*');
  await nats.nc.close();
});

test('bootstrap refuses a reserved cluster name and prints every problem of the seed files', async () => {
  using folder = temporaryFolder();
  const reserved = await run('bootstrap', { NATS_URL: 'nats://127.0.0.1:1', CLUSTERS: 'aws,scheduler' });
  assert.equal(reserved.code, 78);
  assert.match(reserved.output, /reserved/);
  const bad = await run('bootstrap', {
    NATS_URL: 'nats://127.0.0.1:1',
    CLUSTERS: 'aws',
    POLICY_FILE: folder.write('policy.json', { v: 1, strategy: 'magic' }),
    PRICES_FILE: folder.write('prices.json', { aws: { v: 1, usdPerHour: -1 } }),
  });
  assert.equal(bad.code, 78);
  assert.match(bad.output, /policy\.json/);
  assert.match(bad.output, /prices\.json.*usdPerHour/);
});

test('the scheduler waits for bootstrap, becomes ready, shows metrics, and leaves with code 0 on SIGTERM', async () => {
  await using server = await startNatsServer();
  const port = await freePort();
  const { child, output } = start('main', { NATS_URL: server.url, METRICS_PORT: String(port) });
  const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined);
  await until('it to answer', async () => (await get('/readyz'))?.status === 503);
  assert.equal((await run('bootstrap', { NATS_URL: server.url, CLUSTERS: 'aws' })).code, 0);
  await until('it to be ready', async () => (await get('/readyz'))?.status === 200, 10_000);
  const metrics = await (await get('/metrics'))?.text();
  assert.match(metrics ?? '', /drover_scheduler_decision_seconds/);
  child.kill('SIGTERM');
  await once(child, 'exit');
  assert.equal(child.exitCode, 0, output());
});

function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'drover-scheduler-'));
  return {
    write(name: string, value: unknown): string {
      writeFileSync(join(folder, name), JSON.stringify(value));
      return join(folder, name);
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
