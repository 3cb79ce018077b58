import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connectNats, createLogger, type Nats } from '@drover/runtime';
import { buckets, parseMessage, type Tariff, tariff } from '@drover/schemas';
import { Kvm } from '@nats-io/kv';
import type { Overview } from '../../apps/cli/src/core/overview.ts';
import { FakeClouds } from '../../apps/prices/testing/fake-clouds.ts';
import { drover } from '../support/cli.ts';
import { priceOf, startTestSystem, type TestSystem } from '../support/system.ts';

const main = fileURLToPath(new URL('../../apps/prices/src/main.ts', import.meta.url));
const [aws, gcp, azure] = ['aws-us-east-1', 'gcp-us-central1', 'azure-eastus'] as const;
let system: TestSystem;
let clouds: FakeClouds;
let folder: string;
let admin: Nats;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'drover-prices-'));
  clouds = await FakeClouds.start();
  system = await startTestSystem({ fakeFlags: () => ['--token-ms', '1'] });
  const credential = system.credential('admin') ?? assert.fail();
  admin = await connectNats(
    'test',
    {
      NATS_URL: system.natsUrl,
      NATS_NKEY_FILE: credential.nkeyFile,
      NATS_INBOX_PREFIX: credential.inboxPrefix,
      LOG_LEVEL: 'fatal',
    },
    createLogger('test', 'fatal'),
  );
});
after(async () => {
  await admin.nc.close();
  await system[Symbol.asyncDispose]();
  await clouds[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  clouds.rewrite = (_, body) => body;
  for (const faults of Object.values(clouds.faults)) faults.length = 0;
  for (const [index, cluster] of [aws, gcp, azure].entries())
    await seed(cluster, priceOf(0.05 + index / 100));
});

/** Puts a price as bootstrap does: by nobody. */
const seed = async (cluster: string, value: Tariff) =>
  void (await (await new Kvm(admin.js).open(buckets.prices.name)).put(cluster, JSON.stringify(value)));

async function priceNow(cluster: string): Promise<Tariff> {
  const entry = await (await new Kvm(admin.js).open(buckets.prices.name)).get(cluster);
  const parsed = entry && parseMessage<Tariff>(tariff, entry.value);
  return parsed?.ok ? parsed.value : assert.fail(`${cluster} has no price`);
}

const plan = {
  v: 1,
  intervalMs: 100,
  clusters: {
    [aws]: { feeder: 'aws-spot', region: 'us-east-1', instanceType: 'r7i.xlarge' },
    [gcp]: {
      feeder: 'gcp-catalogue',
      region: 'us-central1',
      instanceType: 'n1-standard-2',
      market: 'on-demand',
    },
    [azure]: {
      feeder: 'azure-retail',
      region: 'eastus',
      instanceType: 'Standard_B2as_v2',
      market: 'spot',
      validForMs: 1_000,
    },
  },
};

/** Starts the process that asks for prices, with the rights of its role and no more. */
function startPrices(args: readonly string[] = [], given: object = plan): ChildProcess & AsyncDisposable {
  const file = join(folder, `plan-${Math.random()}.json`);
  writeFileSync(file, JSON.stringify(given));
  const credential = system.credential('prices') ?? assert.fail();
  const child = spawn(process.execPath, [main, ...args], {
    env: {
      PATH: process.env.PATH,
      ...clouds.places,
      AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'fake',
      NATS_URL: system.natsUrl,
      NATS_NKEY_FILE: credential.nkeyFile,
      NATS_INBOX_PREFIX: credential.inboxPrefix,
      PRICES_PLAN_FILE: file,
      METRICS_PORT: '0',
      LOG_LEVEL: 'warn',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  return Object.assign(child, {
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  });
}

async function runPrices(args: readonly string[], given?: object): Promise<{ code: number; out: string }> {
  const child = startPrices(args, given);
  let out = '';
  child.stdout?.on('data', (chunk) => (out += chunk));
  const [code] = await once(child, 'close');
  return { code: Number(code), out };
}

async function eventually(assertion: () => Promise<unknown>, withinMs = 15_000): Promise<void> {
  const giveUpMs = performance.now() + withinMs;
  while (true) {
    try {
      await assertion();
      return;
    } catch (error) {
      if (performance.now() > giveUpMs) throw error;
      await sleep(50);
    }
  }
}

async function answeredBy(): Promise<string | null> {
  const response = await fetch(`${system.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${system.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'smollm2', max_tokens: 4, messages: [{ role: 'user', content: 'hello' }] }),
  });
  assert.equal(response.status, 200);
  await response.text();
  return response.headers.get('x-drover-cluster');
}

async function statusOf(cluster: string): Promise<Overview['clusters'][number]> {
  const { out } = await drover(system, ['status', '--json']);
  const overview: Overview = JSON.parse(out);
  return overview.clusters.find((one) => one.cluster === cluster) ?? assert.fail();
}

async function schedulerMetric(name: string, cluster: string): Promise<number | undefined> {
  const text = await (await fetch(`${system.metricsUrl.scheduler}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name}{cluster="${cluster}"`));
  return line === undefined ? undefined : Number(line.split(' ').at(-1));
}

test('one turn writes what three clouds say, with source, moment and lifetime, and ends', async () => {
  const beganMs = Date.now();
  const { code, out } = await runPrices(['--once']);
  assert.equal(code, 0, out);
  const found = await Promise.all([aws, gcp, azure].map(priceNow));
  assert.deepEqual(
    found.map(({ usdPerHour, market }) => [usdPerHour, market]),
    [
      [0.11384, 'spot'],
      [0.0949995, 'on-demand'],
      [0.02068, 'spot'],
    ],
  );
  for (const { source, asOf, validForMs } of found) {
    assert.match(source, /^(AWS spot price history|GCP billing catalogue|Azure retail prices), /);
    assert.ok(Date.parse(asOf) >= beganMs && Date.parse(asOf) <= Date.now());
    assert.ok(validForMs !== undefined);
  }
});

test('a dry run says what it would write, and writes nothing', async () => {
  const { code, out } = await runPrices(['--dry-run']);
  assert.equal(code, 0, out);
  assert.match(out, /^azure-eastus: 0\.07 USD\/h → 0\.02068 USD\/h \(spot\), Azure retail prices/m);
  assert.equal((await priceNow(azure)).usdPerHour, 0.07);
});

test('a price that changes at the cloud moves the traffic within seconds', async () => {
  await using _ = startPrices();
  await eventually(async () => {
    assert.equal((await priceNow(azure)).usdPerHour, 0.02068);
    assert.equal((await priceNow(aws)).usdPerHour, 0.11384);
    assert.equal(await answeredBy(), azure);
  });
  // Spot on Azure gets dear, if not beyond belief.
  clouds.rewrite = (_, body) => body.replaceAll('0.02068', '0.19');
  const changedAtMs = Date.now();
  await eventually(async () => assert.notEqual(await answeredBy(), azure));
  assert.ok(Date.now() - changedAtMs < 5_000, `${Date.now() - changedAtMs} ms`);
  assert.equal((await priceNow(azure)).usdPerHour, 0.19);
});

test('a cloud that fails, and a price beyond belief, leave the last price, which is shown as stale and recovers', async () => {
  const jumping = { ...plan, clusters: { [azure]: plan.clusters[azure] } };
  await using _ = startPrices([], jumping);
  await eventually(async () => assert.equal((await priceNow(azure)).usdPerHour, 0.02068));
  for (const broken of ['99.5', '"soon"']) {
    clouds.rewrite = (_, body) => body.replaceAll('0.02068', broken);
    await eventually(async () => {
      assert.ok(((await statusOf(azure)).priceStaleMs ?? 0) > 0);
      assert.equal(await schedulerMetric('drover_scheduler_price_stale', azure), 1);
    });
    assert.match((await drover(system, ['status'])).out, /azure-eastus .*\$0\.0207, stale for /);
    assert.equal((await priceNow(azure)).usdPerHour, 0.02068);
    clouds.rewrite = (_, body) => body;
    await eventually(async () => {
      assert.equal((await statusOf(azure)).priceStaleMs, undefined);
      assert.equal(await schedulerMetric('drover_scheduler_price_stale', azure), 0);
    });
  }
  const refused = await (async () => {
    clouds.rewrite = (_, body) => body.replaceAll('0.02068', '99.5');
    return runPrices(['--once', '--dry-run'], jumping);
  })();
  assert.equal(refused.code, 1);
  assert.match(
    refused.out,
    /azure-eastus: 0\.02068 USD\/h stays and grows stale: jump: from 0\.02068 to 99\.5/,
  );
});

test("a person's price stays until it lapses; then the cloud's counts again", async () => {
  const set = (usdPerHour: string, span: string) =>
    drover(system, ['price', 'set', azure, '--usd-per-hour', usdPerHour, '--for', span]);
  await set('40', '1h');
  const held = await runPrices(['--dry-run']);
  assert.match(held.out, /^azure-eastus: 40 USD\/h stays, set by tester until /m);
  await using _ = startPrices();
  const turns = new Set<string>();
  await eventually(async () => {
    turns.add((await priceNow(aws)).asOf);
    assert.ok(turns.size > 4);
  });
  assert.equal((await priceNow(azure)).usdPerHour, 40);
  await set('41', '1s');
  await eventually(async () => assert.equal((await priceNow(azure)).usdPerHour, 0.02068));
});

test('a file of prices is followed while it changes', async () => {
  const file = join(folder, 'prices.yaml');
  const write = (usdPerHour: number) =>
    writeFileSync(
      file,
      `${gcp}: { v: 1, usdPerHour: ${usdPerHour}, market: on-demand, source: contract, asOf: "${new Date().toISOString()}" }\n`,
    );
  write(0.08);
  await using _ = startPrices([], { v: 1, intervalMs: 100, clusters: { [gcp]: { feeder: 'file', file } } });
  await eventually(async () => assert.equal((await priceNow(gcp)).usdPerHour, 0.08));
  write(0.09);
  await eventually(async () => assert.equal((await priceNow(gcp)).usdPerHour, 0.09));
});

test('a plan that cannot be meant ends the process with code 78', async () => {
  assert.equal((await runPrices(['--once'], { v: 1, clusters: {} })).code, 78);
});
