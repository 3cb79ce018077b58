import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { subjects } from '@drover/schemas';
import { z } from 'zod';
import { startAutoscaler } from '../../infra/local/src/autoscaler.ts';
import { localClusters } from '../../infra/local/src/clusters.ts';
import { drover } from '../support/cli.ts';
import { connectAs } from '../support/connect-as.ts';
import { fakeCloud } from '../support/fake-cloud.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

const [aws, gcp] = ['aws-us-east-1', 'gcp-us-central1'] as const;
const two = localClusters.filter(({ id }) => id === aws || id === gcp);
let system: TestSystem;
let autoscaler: { stop(): Promise<void> };
before(async () => {
  system = await startTestSystem({
    clusters: two,
    fakeFlags: () => ['--token-ms', '20'],
    // Nothing goes by itself: what goes in these tests goes because it was paused.
    policy: {
      v: 1,
      strategy: 'cost',
      exploration: 0,
      scaling: { swapMargin: 1, coolDownDearestMs: 3_600_000, coolDownCheapestMs: 3_600_000 },
    },
  });
  autoscaler = await startAutoscaler(system, {
    clusters: two.map(({ id }) => id),
    coolDownMs: 500,
    say: () => {},
  });
});
after(async () => {
  await autoscaler.stop();
  await system[Symbol.asyncDispose]();
});

const decided = z.object({ record: z.object({ chosen: z.string() }) });

const isUp = (cluster: string): boolean => `llama-${cluster}` in system.pids();

async function ask(maxTokens: number): Promise<{ cluster: string; text: string }> {
  const response = await fetch(`${system.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${system.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'smollm2',
      stream: true,
      max_tokens: maxTokens,
      messages: [{ role: 'user', content: 'hello' }],
    }),
  });
  const text = await response.text();
  // The headers of one that had to wait are older than the choice.
  const decision = await fetch(`${system.url}/v1/decisions/${response.headers.get('x-request-id')}`, {
    headers: { authorization: `Bearer ${system.apiKey}` },
  });
  return { cluster: decided.parse(await decision.json()).record.chosen, text };
}

async function within(ms: number, what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAtMs = performance.now() + ms;
  while (!(await condition())) {
    assert.ok(performance.now() < giveUpAtMs, `not within ${ms} ms: ${what}`);
    await sleep(50);
  }
}

async function statusOf(cluster: string) {
  const { out } = await drover(system, ['status', '--json']);
  return JSON.parse(out).clusters.find((one: { cluster: string }) => one.cluster === cluster);
}

test('a paused cluster finishes what it runs, goes to zero, and its price is what is saved', async () => {
  await within(
    30_000,
    'both clusters',
    async () => (await statusOf(aws))?.phase === 'ready' && (await statusOf(gcp))?.phase === 'ready',
  );
  const { cluster } = await ask(4);
  assert.equal(cluster, aws, 'the cheaper one');
  const long = ask(200);
  await within(10_000, 'a reply to run', async () => (await statusOf(aws)).running > 0);
  const { code, out, notes } = await drover(system, [
    'pause',
    aws,
    '--reason',
    'the night',
    '--yes',
    '--json',
  ]);
  assert.equal(code, 0, notes);
  const result = JSON.parse(out);
  assert.deepEqual(result, {
    cluster: aws,
    paused: true,
    atZero: true,
    nodesBefore: 1,
    savesUsdPerHour: 0.09,
  });
  const reply = await long;
  assert.equal(reply.cluster, aws);
  assert.match(reply.text, /data: \[DONE\]/);
  assert.ok(!isUp(aws) && isUp(gcp));
  const { paused, cordoned, wantedNodes, phase } = await statusOf(aws);
  assert.deepEqual([paused, cordoned, wantedNodes, phase], [true, 'the night', 0, 'at-zero']);
});

test('a paused cluster is not woken, whoever waits and however cheap it is', async () => {
  await using admin = await connectAs(system, 'admin');
  const wakes: string[] = [];
  admin.nc.subscribe(subjects.wake(aws, '*'), { callback: (_, { subject }) => void wakes.push(subject) });
  const set = await drover(system, ['price', 'set', aws, '--usd-per-hour', '0.000001']);
  assert.equal(set.code, 0, set.notes);
  // More than the other one has slots for.
  const replies = await Promise.all(Array.from({ length: 12 }, () => ask(30)));
  assert.ok(replies.every(({ cluster, text }) => cluster === gcp && text.includes('[DONE]')));
  assert.deepEqual(wakes, []);
  assert.ok(!isUp(aws));
});

test('while every cluster is paused a request waits, and resume wakes the one that it resumes', async () => {
  const paused = await drover(system, ['pause', gcp, '--yes']);
  assert.equal(paused.code, 0, paused.notes);
  assert.match(paused.out, /gcp-us-central1 is at zero after .*: \$0\.10?\/h less for 1 node/);
  const waiting = ask(4);
  await within(10_000, 'the request to wait', async () => {
    const { queue } = JSON.parse((await drover(system, ['status', '--json'])).out);
    return queue.some(({ waiting: count }: { waiting: number }) => count > 0);
  });
  const { code, notes } = await drover(system, ['doctor']);
  assert.equal(code, 1);
  assert.match(notes, /unhealthy: not as it should be: agents/);
  assert.match((await drover(system, ['resume', aws])).out, /is open; it wakes when it is wanted/);
  assert.equal((await waiting).cluster, aws);
  assert.ok(isUp(aws) && !isUp(gcp));
  assert.match((await drover(system, ['resume', aws])).out, /was not paused/);
  assert.equal((await drover(system, ['resume', gcp])).code, 0);
});

test('with an environment the system nodes go as well, last, and come back first', async () => {
  await within(20_000, 'gcp', async () => (await statusOf(gcp))?.phase !== 'booting');
  await using operator = await connectAs(system, 'operator');
  const cloud = fakeCloud('staging');
  try {
    const pulumi = async (verb: string) => {
      const { code, calls, problem } = await cloud.run([verb, gcp, '--env', 'staging', '--yes'], {
        nats: operator,
      });
      assert.equal(code, 0, problem);
      return calls.filter((call) => /^pulumi (config|up|destroy)/.test(call));
    };
    const set = (paused: boolean) =>
      `pulumi config set --path drover:clusters[1].paused ${paused} --stack staging`;
    const up = 'pulumi up --yes --non-interactive --stack staging';
    assert.deepEqual(await pulumi('pause'), [set(true), up]);
    assert.equal((await statusOf(gcp)).phase, 'at-zero');
    // The fake does not write the file: for it the cluster was never paused, and there is nothing to set.
    assert.deepEqual(await pulumi('resume'), []);
    assert.equal((await statusOf(gcp)).paused, undefined);
    const hub = await cloud.run(['pause', aws, '--env', 'staging', '--yes'], { nats: operator });
    assert.equal(hub.code, 2);
    assert.match(hub.problem, /aws-us-east-1 is the hub of staging/);
    assert.equal((await statusOf(aws)).paused, undefined);
  } finally {
    cloud.dispose();
  }
});

test('pause is for a cluster that exists, and asks first', async () => {
  assert.match((await drover(system, ['pause', 'nowhere', '--yes'])).notes, /unknown_cluster/);
  assert.equal((await drover(system, ['pause', aws])).code, 2);
  assert.equal((await statusOf(aws)).paused, undefined);
});
