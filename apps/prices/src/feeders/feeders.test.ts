import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import type { Tariff } from '@drover/schemas';
import { type CloudName, FakeClouds } from '../../testing/fake-clouds.ts';
import type { Answer } from '../core/answer.ts';
import { type Source, source } from '../core/plan.ts';
import { allFeeders } from './all.ts';

const http = { timeoutMs: 400, tries: 3, pauseMs: 1 } as const;
const nowMs = Date.parse('2025-10-20T12:00:00Z');
let clouds: FakeClouds;

before(async () => {
  // AWS's client looks for credentials here first.
  process.env.AWS_ACCESS_KEY_ID = 'AKIDEXAMPLE';
  process.env.AWS_SECRET_ACCESS_KEY = 'fake';
  clouds = await FakeClouds.start();
});
after(() => clouds[Symbol.asyncDispose]());
beforeEach(() => {
  clouds.asked.length = 0;
  for (const faults of Object.values(clouds.faults)) faults.length = 0;
  clouds.rewrite = (_, body) => body;
});

const aws = source.parse({ feeder: 'aws-spot', region: 'us-east-1', instanceType: 'r7i.xlarge' });
const azure = source.parse({
  feeder: 'azure-retail',
  region: 'eastus',
  instanceType: 'Standard_B2as_v2',
  market: 'spot',
});
const gcp = source.parse({
  feeder: 'gcp-catalogue',
  region: 'us-central1',
  instanceType: 'n1-standard-2',
  market: 'on-demand',
});
const sources = { aws, azure, gcp };

async function ask(one: Source, places = clouds.places, atMs = nowMs): Promise<Answer<Tariff>> {
  const feeders = allFeeders(places, http);
  const { signal } = new AbortController();
  switch (one.feeder) {
    case 'aws-spot':
      return feeders[one.feeder](signal)('a', one, atMs);
    case 'azure-retail':
      return feeders[one.feeder](signal)('a', one, atMs);
    case 'gcp-catalogue':
      return feeders[one.feeder](signal)('a', one, atMs);
    case 'file':
      return feeders[one.feeder](signal)('a', one, atMs);
  }
}

const tariffOf = (answer: Answer<Tariff>): Tariff => (answer.ok ? answer.value : assert.fail(answer.problem));
const codeOf = (answer: Answer<Tariff>): string => (answer.ok ? 'none' : answer.code);
const askedOf = (cloud: CloudName) => clouds.asked.filter((one) => one.cloud === cloud);

test('the spot price on AWS is the mean of the newest price of each zone, over all pages', async () => {
  const { usdPerHour, ...rest } = tariffOf(await ask(aws));
  assert.equal(usdPerHour, 0.11384);
  assert.deepEqual(rest, {
    v: 1,
    market: 'spot',
    overheadFactor: 1,
    region: 'us-east-1',
    instanceType: 'r7i.xlarge',
    source:
      'AWS spot price history, r7i.xlarge in us-east-1 (mean of us-east-1a, us-east-1b, us-east-1c, us-east-1d, us-east-1f)',
    asOf: '2025-10-20T12:00:00.000Z',
    validForMs: 3_600_000,
  });
  assert.equal(askedOf('aws').length, 2);
});

test('on AWS only the zones that the plan names count, and one without a price is missed', async () => {
  const two = tariffOf(await ask({ ...aws, zones: ['us-east-1b', 'us-east-1f'] } as Source));
  assert.equal(two.usdPerHour, (0.1241 + 0.0863) / 2);
  assert.equal(codeOf(await ask({ ...aws, zones: ['us-east-1b', 'us-east-1z'] } as Source)), 'no-price');
});

test('the spot price on Azure is that of Linux which took effect last, not one to come, not Low Priority', async () => {
  const tariff = tariffOf(await ask(azure));
  assert.equal(tariff.usdPerHour, 0.02068);
  assert.equal(tariff.market, 'spot');
  assert.match(tariff.source, /Virtual Machines Basv2 Series, B2as v2 Spot/);
  assert.equal(askedOf('azure').length, 2);
  const filter = new URL(askedOf('azure')[0]?.url ?? '', clouds.url).searchParams.get('$filter');
  assert.match(filter ?? '', /armSkuName eq 'Standard_B2as_v2'/);
  assert.equal(tariffOf(await ask({ ...azure, market: 'on-demand' } as Source)).usdPerHour, 0.0752);
});

test('a machine on GCP costs its cores and its memory, over all pages of the catalogue', async () => {
  assert.equal(tariffOf(await ask(gcp)).usdPerHour, 0.0949995);
  assert.equal(askedOf('gcp').length, 2);
  const spot = tariffOf(await ask({ ...gcp, market: 'spot' } as Source));
  assert.equal(spot.usdPerHour, 0.019975);
  const n2 = tariffOf(await ask({ ...gcp, instanceType: 'n2-highcpu-4' } as Source));
  assert.equal(n2.usdPerHour, 0.143392);
});

test('clusters that need the same catalogue read it once per turn', async () => {
  const askGcp = allFeeders(clouds.places, http)['gcp-catalogue'](new AbortController().signal);
  if (gcp.feeder !== 'gcp-catalogue') assert.fail();
  await Promise.all([askGcp('a', gcp, nowMs), askGcp('b', { ...gcp, market: 'spot' }, nowMs)]);
  assert.equal(askedOf('gcp').length, 2);
});

for (const name of ['aws', 'azure', 'gcp'] as const) {
  test(`${name}: what passes is tried again: too many requests, a broken server, a broken connection, silence`, async () => {
    for (const fault of [{ status: 429 }, { status: 500 }, { status: 503 }, 'break', 'hang'] as const) {
      clouds.faults[name].push(fault);
      assert.ok((await ask(sources[name])).ok, `${JSON.stringify(fault)}`);
    }
  });

  test(`${name}: what does not pass ends after a few tries, and says so`, async () => {
    clouds.faults[name].push(...Array.from({ length: 20 }, () => ({ status: 500 })));
    assert.equal(codeOf(await ask(sources[name])), 'unreachable');
    assert.equal(clouds.asked.length, http.tries);
  });

  test(`${name}: a refusal is not tried again`, async () => {
    clouds.faults[name].push({ status: 403 });
    assert.equal(codeOf(await ask(sources[name])), 'denied');
    assert.equal(clouds.asked.length, 1);
  });

  test(`${name}: an answer that is cut off, empty or something else is malformed`, async () => {
    for (const body of ['', 'no', name === 'aws' ? '<a><b>' : '{"Items": [{}], "skus": [5]}']) {
      clouds.faults[name].push({ status: 200, body });
      // To AWS's client an empty document is an empty list.
      const code = name === 'aws' && body === '' ? 'no-price' : 'malformed';
      assert.equal(codeOf(await ask(sources[name])), code, body);
    }
  });

  test(`${name}: nobody there is unreachable`, async () => {
    const nobody = 'http://127.0.0.1:9';
    const places = {
      ...clouds.places,
      AWS_EC2_URL: nobody,
      AZURE_PRICES_URL: nobody,
      GCP_BILLING_URL: nobody,
    };
    assert.equal(codeOf(await ask(sources[name], places)), 'unreachable');
  });
}

test('Retry-After is heeded', async () => {
  clouds.faults.azure.push({ status: 429, headers: { 'retry-after': '1' } });
  const beganMs = performance.now();
  assert.ok((await ask(azure)).ok);
  assert.ok(performance.now() - beganMs > 900);
});

test('another currency, another unit, and a price of nothing are refused with their own codes', async () => {
  const cases: readonly (readonly [Source, RegExp, string, string])[] = [
    [azure, /"USD"/g, '"EUR"', 'currency'],
    [azure, /1 Hour/g, '1/Month', 'unit'],
    [azure, /0\.02068/g, '0', 'not-positive'],
    [azure, /0\.02068/g, '-0.02', 'not-positive'],
    [gcp, /"USD"/g, '"EUR"', 'currency'],
    [gcp, /"GiBy\.h"/g, '"GiBy.mo"', 'unit'],
    [gcp, /4237000/g, '0', 'not-positive'],
    [gcp, /4237000/g, '"much"', 'malformed'],
    [aws, /0\.086300/g, '0.000000', 'not-positive'],
    [aws, /0\.086300/g, 'free', 'malformed'],
  ];
  for (const [one, from, to, code] of cases) {
    clouds.rewrite = (_, body) => body.replaceAll(from, to);
    assert.equal(codeOf(await ask(one)), code, `${one.feeder} ${to}`);
  }
});

test('a next page on another server is not followed: the price list could send us anywhere', async () => {
  clouds.rewrite = (_, body) => body.replace(clouds.url, 'http://127.0.0.1:9');
  assert.equal(codeOf(await ask(azure)), 'malformed');
});

test('an odd SKU that nobody wants does no harm', async () => {
  clouds.rewrite = (_, body) =>
    body.replace('"skus": [', '"skus": [{}, { "description": "odd", "pricingInfo": 7 },');
  assert.equal(tariffOf(await ask(gcp)).usdPerHour, 0.0949995);
});

test('without a key GCP is not asked', async () => {
  assert.equal(
    codeOf(await ask(gcp, { ...clouds.places, GCP_BILLING_API_KEY: undefined as never })),
    'denied',
  );
  assert.equal(clouds.asked.length, 0);
});

test('a file of JSON or YAML gives its tariffs whole, and is read again each time', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'drover-prices-'));
  try {
    const path = join(folder, 'prices.yaml');
    const file: Source = { feeder: 'file', file: path };
    const tariff = {
      v: 1,
      usdPerHour: 0.5,
      market: 'on-demand',
      source: 'the contract',
      asOf: '2025-10-01T00:00:00Z',
    };
    writeFileSync(path, JSON.stringify({ a: tariff }));
    assert.deepEqual(tariffOf(await ask(file)), { ...tariff, overheadFactor: 1 });
    writeFileSync(
      path,
      'a: { v: 1, usdPerHour: 0.6, market: spot, source: the contract, asOf: "2025-10-02T00:00:00Z" }\n',
    );
    assert.equal(tariffOf(await ask(file)).usdPerHour, 0.6);
    writeFileSync(path, 'a: { v: 1, usdPerHour: -1 }');
    assert.equal(codeOf(await ask(file)), 'malformed');
    writeFileSync(path, 'a: [');
    assert.equal(codeOf(await ask(file)), 'malformed');
    writeFileSync(path, '{}');
    assert.equal(codeOf(await ask(file)), 'no-price');
    assert.equal(codeOf(await ask({ ...file, file: join(folder, 'none') })), 'unreachable');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
