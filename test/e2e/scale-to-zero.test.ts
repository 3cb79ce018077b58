import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { buckets, profile, tariff } from '@drover/schemas';
import { Kvm } from '@nats-io/kv';
import { z } from 'zod';
import { usefulWorkUsd } from '../../apps/scheduler/src/core/wake.ts';
import { startAutoscaler } from '../../infra/local/src/autoscaler.ts';
import { localClusters } from '../../infra/local/src/clusters.ts';
import { connectAs } from '../support/connect-as.ts';
import { priceOf, startTestSystem, type TestSystem } from '../support/system.ts';

const clusters = localClusters.map(({ id }) => id);
let system: TestSystem;
let autoscaler: { stop(): Promise<void> };
const said: string[] = [];
let wokenBefore = '';
before(async () => {
  system = await startTestSystem({
    backend: 'llama',
    policy: {
      v: 1,
      strategy: 'cost',
      scaling: { coolDownDearestMs: 1_000, coolDownCheapestMs: 2_000, decayMs: 2_000, swapMargin: 1 },
    },
  });
  autoscaler = await startAutoscaler(system, { clusters, coolDownMs: 500, say: (line) => said.push(line) });
});
after(async () => {
  await autoscaler.stop();
  await system[Symbol.asyncDispose]();
});

const running = (): string[] =>
  Object.keys(system.pids())
    .filter((name) => name.startsWith('llama-'))
    .map((name) => name.slice('llama-'.length));

async function within(ms: number, what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAtMs = performance.now() + ms;
  while (!(await condition())) {
    assert.ok(performance.now() < giveUpAtMs, `not within ${ms} ms: ${what}; ${said.join('; ')}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function schedulerMetric(name: string): Promise<{ cluster: string; value: number }[]> {
  const text = await (await fetch(`${system.metricsUrl.scheduler}/metrics`)).text();
  return text
    .split('\n')
    .filter((line) => line.startsWith(`drover_scheduler_${name}{`))
    .map((line) => ({
      cluster: /cluster="([^"]+)"/.exec(line)?.[1] ?? '',
      value: Number(line.split(' ').at(-1)),
    }));
}

const ask = (more: Record<string, unknown>, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${system.url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${system.apiKey}`,
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify({
      model: 'smollm2',
      messages: [{ role: 'user', content: 'Name three colours.' }],
      temperature: 0,
      max_tokens: 12,
      ...more,
    }),
  });

test('clusters that nobody needs go to zero', async () => {
  await within(60_000, 'all at zero', () => running().length === 0);
});

/** The cluster where a usual request is cheapest, by what was measured of each before it went to zero. */
async function cheapest(): Promise<string | undefined> {
  await using admin = await connectAs(system, 'admin');
  const kvm = new Kvm(admin.js);
  const [profiles, prices] = await Promise.all([
    kvm.open(buckets.profiles.name),
    kvm.open(buckets.prices.name),
  ]);
  const priced = await Promise.all(
    clusters.map(async (cluster) => {
      const known = profile.parse((await profiles.get(cluster))?.json());
      const price = tariff.parse((await prices.get(cluster))?.json());
      const work = { promptTokens: 300, outputTokens: 200 };
      return { cluster, usd: usefulWorkUsd(price, known.rates, known.slotsPerNode, work) ?? Infinity };
    }),
  );
  return priced.toSorted((a, b) => a.usd - b.usd)[0]?.cluster;
}

test('a request wakes one cluster, the one where its work is cheapest, and is answered before its deadline', async () => {
  const expected = await cheapest();
  const startedMs = performance.now();
  const response = await ask({ stream: true }, { 'x-drover-deadline-ms': '60000' });
  const text = await response.text();
  const tookMs = performance.now() - startedMs;
  assert.match(text, /data: \[DONE\]/);
  assert.match(text, /^: waiting/m, 'the client heard that it waits');
  assert.ok(tookMs < 60_000, `answered after ${tookMs} ms`);
  const woken = (await schedulerMetric('wakes_total')).filter(({ value }) => value > 0);
  assert.deepEqual(
    woken.map(({ cluster }) => cluster),
    [expected],
  );
  const id = response.headers.get('x-request-id') ?? '';
  const decision = await fetch(`${system.url}/v1/decisions/${id}`, {
    headers: { authorization: `Bearer ${system.apiKey}` },
  });
  const { record } = z.object({ record: z.object({ chosen: z.string() }) }).parse(await decision.json());
  assert.equal(record.chosen, expected);
  wokenBefore = record.chosen;
  console.log(`from zero to an answer in ${Math.round(tookMs)} ms at ${record.chosen}`);
});

test('the second wake knows how long it takes, and tells the client', async () => {
  await within(60_000, 'all at zero again', () => running().length === 0);
  // Only a cluster that was woken before has a known start: let it be the cheapest again, whatever was measured since.
  await using admin = await connectAs(system, 'admin');
  const prices = await new Kvm(admin.js).open(buckets.prices.name);
  await prices.put(wokenBefore, JSON.stringify(priceOf(0.0001)));
  const text = await (await ask({ stream: true })).text();
  assert.match(text, /^: waiting for a cluster, about \d+ s$/m);
  assert.match(text, /data: \[DONE\]/);
});

test('a request whose deadline comes before any cluster can be up is told so, not dropped', async () => {
  await within(60_000, 'all at zero again', () => running().length === 0);
  const response = await ask({}, { 'x-drover-deadline-ms': '300' });
  assert.equal(response.status, 504);
  const { error } = z.object({ error: z.object({ code: z.string() }) }).parse(await response.json());
  assert.equal(error.code, 'deadline_exceeded');
});
