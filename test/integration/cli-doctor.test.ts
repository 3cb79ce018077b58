import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { buckets, policyKeys, streams, subjects } from '@drover/schemas';
import { Kvm } from '@nats-io/kv';
import type { Finding } from '../../apps/cli/src/core/doctor.ts';
import { localClusters } from '../../infra/local/src/clusters.ts';
import { drover } from '../support/cli.ts';
import { connectAs } from '../support/connect-as.ts';
import { priceOf, startTestSystem, type TestSystem } from '../support/system.ts';

const one = localClusters.slice(0, 1);
const [{ id: cluster }] = one as [(typeof localClusters)[number]];
let system: TestSystem;
before(async () => {
  const now = { ...priceOf(0.09), asOf: new Date().toISOString() };
  system = await startTestSystem({ clusters: one, prices: { [cluster]: now } });
});
after(() => system[Symbol.asyncDispose]());

async function examined(...more: string[]): Promise<{ code: number; of: (check: string) => Finding }> {
  const { code, out } = await drover(system, ['doctor', '--json', ...more]);
  const findings: Finding[] = JSON.parse(out);
  return {
    code,
    of: (check) => findings.find((finding) => finding.check === check) ?? assert.fail(`${check} in ${out}`),
  };
}

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const giveUpMs = performance.now() + 20_000;
  while (!(await condition())) {
    assert.ok(performance.now() < giveUpMs, what);
    await sleep(100);
  }
}

test('a sound system is found sound, with the rights of an operator', async () => {
  await until(async () => (await examined()).of('agents').text.includes('ready'), 'the agent');
  const { code, of } = await examined('--url', system.url);
  for (const check of [
    'nats',
    'rights',
    'streams',
    'buckets',
    'consumers',
    'clocks',
    'prices',
    'agents',
    'ingress',
  ])
    assert.equal(of(check).result, 'ok', `${check}: ${of(check).text}`);
  assert.equal(code, 0);
});

test('the prompt goes to a model of the catalogue, whatever it is called', async () => {
  await using admin = await connectAs(system, 'admin');
  const policy = await new Kvm(admin.js).open(buckets.policy.name);
  const before = await policy.get(policyKeys.models);
  const folder = mkdtempSync(join(tmpdir(), 'drover-doctor-'));
  const keyFile = join(folder, 'key');
  writeFileSync(keyFile, `${system.apiKey}\n`);
  const asked = () => examined('--url', system.url, '--key-file', keyFile);
  const { text, result } = (await asked()).of('prompt');
  assert.equal(result, 'ok', text);
  assert.equal(text, `smollm2-135m-instruct is answered by ${cluster}`);
  await policy.put(
    policyKeys.models,
    JSON.stringify({ v: 1, models: [{ name: 'embedder', endpoints: ['embedding'], contextTokens: 512 }] }),
  );
  assert.deepEqual((await asked()).of('prompt').text, 'no model of the catalogue chats');
  await policy.put(policyKeys.models, before?.value ?? '');
  rmSync(folder, { recursive: true });
});

test('a stream that was changed by hand, a consumer that is gone, and a clock that is off are each named', async () => {
  await using admin = await connectAs(system, 'admin');
  await admin.jsm.streams.update(streams.requests.name, { max_msgs: 5 });
  await admin.jsm.consumers.delete(streams.wakes.name, cluster);
  const late = {
    ...{ v: 1, cluster, agent: 'late', seq: 1, startedAtMs: 0, sentAtMs: Date.now() - 60_000 },
    ...{ phase: 'ready', slots: 1, inFlight: [] },
  };
  await admin.js.publish(subjects.report(cluster, 'late'), JSON.stringify(late));
  const { code, of } = await examined();
  assert.equal(code, 1);
  assert.match(of('streams').text, /^LLM_REQUESTS differs in max_msgs: run bootstrap$/);
  assert.match(of('consumers').text, new RegExp(`^LLM_WAKE/${cluster} is missing`));
  assert.match(of('clocks').text, /late at .* is 1 min|60\.0 s behind the hub/);
});

test('an ingress that is not there is named, and the key of an administrator is one with too many rights', async () => {
  const { code, of } = await examined('--url', 'http://127.0.0.1:9');
  assert.equal(code, 1);
  assert.equal(of('ingress').result, 'failed');
  const strong = await drover(system, ['doctor', '--json'], { role: 'admin' });
  const findings: Finding[] = JSON.parse(strong.out);
  assert.equal(findings.find(({ check }) => check === 'rights')?.result, 'warning');
});
