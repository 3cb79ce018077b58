import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Nats } from '@drover/runtime';
import { assign, eventsOf, eventually, hasJob, jobFor, listen } from '../../apps/agent/testing/bed.ts';
import { startFakeLlama } from '../support/fake-llama.ts';
import { replyText } from '../support/fake-llama-text.ts';
import { connectTo, startHub } from '../support/hub.ts';
import { freePort, type TestServer } from '../support/nats-server.ts';

const main = fileURLToPath(new URL('../../apps/agent/src/main.ts', import.meta.url));
let hub: TestServer;
let nats: Nats & AsyncDisposable;
before(async () => {
  hub = await startHub(['c1']);
  nats = await connectTo(hub.url);
});
after(async () => {
  await nats[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

const start = (env: Record<string, string>): ChildProcess =>
  spawn(process.execPath, [main], { env: { PATH: process.env.PATH, ...env }, stdio: 'pipe' });

const exitCode = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => child.once('exit', (code) => resolve(code)));

test('a configuration that cannot be used names every problem and exits with 78', async () => {
  const child = start({ NATS_URL: hub.url, CLUSTER: 'scheduler', LLAMA_URL: 'nowhere' });
  let output = '';
  child.stderr?.on('data', (data: Buffer) => {
    output += data.toString();
  });
  assert.equal(await exitCode(child), 78);
  assert.match(output, /CLUSTER/);
  assert.match(output, /LLAMA_URL/);
});

test('the process survives a restart of the hub in mid-answer, and gives its job back on SIGTERM', async () => {
  await using fake = await startFakeLlama({ tokenMs: 5 });
  const port = await freePort();
  const child = start({
    NATS_URL: hub.url,
    CLUSTER: 'c1',
    LLAMA_URL: fake.url,
    METRICS_PORT: String(port),
    BENCHMARK: 'off',
    DRAIN_MS: '100',
    LOG_LEVEL: 'fatal',
  });
  try {
    await eventually(async () => assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200));
    const job = jobFor('c1', { prompt: 'restart', tokens: 300 });
    const ear = await listen(nats, job.request.id);
    await assign(nats, job);
    await eventually(() => assert.ok(ear.transcript.units.length > 10));
    await hub.restart();
    assert.equal((await ear.ended(15_000)).status, 'done');
    assert.equal(ear.text, replyText('restart', 300));
    await eventually(async () => assert.equal(await hasJob(nats, job), false));

    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    assert.match(metrics, /drover_agent_jobs_total\{outcome="done",app="agent"\} 1/);
    assert.match(metrics, /drover_agent_tokens_total\{kind="completion",app="agent"\} 300/);

    const long = jobFor('c1', { tokens: 4_000 });
    await assign(nats, long);
    await eventually(() => assert.equal(fake.counters.busy, 1), 10_000);
    child.kill('SIGTERM');
    assert.equal(await exitCode(child), 0);
    const last = (await eventsOf(nats, long.request.id)).at(-1)?.event;
    assert.equal(last?.state === 'released' && last.reason, 'draining');
    assert.equal(await hasJob(nats, long), true);
  } finally {
    child.kill('SIGKILL');
  }
});
