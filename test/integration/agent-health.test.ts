import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Nats } from '@drover/runtime';
import {
  assign,
  eventsOf,
  eventually,
  hasJob,
  jobFor,
  listen,
  startBed,
} from '../../apps/agent/testing/bed.ts';
import { startFakeLlama } from '../support/fake-llama.ts';
import { replyText } from '../support/fake-llama-text.ts';
import { connectTo, startHub } from '../support/hub.ts';
import type { TestServer } from '../support/nats-server.ts';

let hub: TestServer;
let nats: Nats & AsyncDisposable;
before(async () => {
  hub = await startHub(['c1', 'c2', 'c3', 'c4', 'c5', 'c6']);
  nats = await connectTo(hub.url);
});
after(async () => {
  await nats[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

test('a backend that crashes is reported down within 2 s, takes no job, and comes back ready with its boot time', async () => {
  await using bed = await startBed(hub.url, 'c1');
  await bed.fake.crash();
  await eventually(() => assert.equal(bed.reports.at(-1)?.phase, 'down'), 2_000);
  assert.match(bed.reports.at(-1)?.reason ?? '', /ECONN(REFUSED|RESET)/);
  assert.equal(bed.agent.probe().ok, false);
  const job = jobFor('c1', { prompt: 'wait', tokens: 4 });
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await bed.fake.restart();
  await eventually(() => assert.equal(bed.reports.at(-1)?.phase, 'ready'), 2_000);
  assert.ok((bed.reports.at(-1)?.bootMs ?? -1) >= 0);
  await ear.ended();
  assert.equal(ear.text, replyText('wait', 4));
});

test('a backend that accepts and never answers is reported down within 2 s', async () => {
  await using bed = await startBed(hub.url, 'c2');
  bed.fake.faults.silent = true;
  const sinceMs = performance.now();
  await eventually(() => assert.equal(bed.reports.at(-1)?.phase, 'down'), 4_000);
  const tookMs = performance.now() - sinceMs;
  assert.ok(tookMs < 2_000, `took ${tookMs} ms`);
  bed.fake.faults.silent = false;
  await eventually(() => assert.equal(bed.reports.at(-1)?.phase, 'ready'));
});

test('a backend that loads is booting, not down, until it has answered', async () => {
  await using fake = await startFakeLlama();
  fake.faults.loading = true;
  await using bed = await startBed(hub.url, 'c3', { backend: fake, ready: false });
  await eventually(() => assert.ok(bed.reports.length > 0));
  fake.faults.loading = false;
  await eventually(() => assert.equal(bed.reports.at(-1)?.phase, 'ready'));
  assert.ok(bed.reports.every(({ phase }) => phase !== 'down'));
});

test('a backend that could not be measured is not ready until it was', async () => {
  await using fake = await startFakeLlama();
  fake.faults.tokensMax = 1;
  await using bed = await startBed(hub.url, 'c6', { backend: fake, ready: false, env: { BENCHMARK: 'on' } });
  // More replies than one measurement tries.
  await eventually(() => assert.ok(fake.counters.generations > 12));
  for (const { phase, rates } of bed.reports) assert.deepEqual([phase, rates?.decode ?? []], ['booting', []]);
  fake.faults.tokensMax = undefined;
  await eventually(() => assert.equal(bed.reports.at(-1)?.phase, 'ready'));
  assert.ok((bed.reports.at(-1)?.rates?.decode.length ?? 0) > 0);
});

test('an answer that stops in the middle is given up and the job released', async () => {
  await using bed = await startBed(hub.url, 'c4', { fake: { tokenMs: 2 }, env: { STALL_MS: '200' } });
  bed.fake.faults.stallAfterTokens = 5;
  const job = jobFor('c4', { tokens: 50 });
  await assign(nats, job);
  await eventually(async () => {
    const last = (await eventsOf(nats, job.request.id)).at(-1)?.event;
    assert.equal(last?.state === 'released' && last.reason, 'backend-failed');
  });
  assert.equal(await hasJob(nats, job), true);
  await eventually(() => assert.equal(bed.fake.counters.busy, 0));
});

test('an error of the backend releases the job and is not shown to the client', async () => {
  await using bed = await startBed(hub.url, 'c5');
  bed.fake.faults.status = 500;
  const job = jobFor('c5');
  const ear = await listen(nats, job.request.id);
  await assign(nats, job);
  await eventually(async () => {
    const last = (await eventsOf(nats, job.request.id)).at(-1)?.event;
    assert.equal(last?.state === 'released' && last.reason, 'backend-failed');
  });
  assert.equal(ear.transcript.outcome, undefined);
});
