import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cordon } from '@drover/schemas';
import type { Overview } from '../../apps/cli/src/core/overview.ts';
import { drover } from '../support/cli.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

const binary = fileURLToPath(new URL('../../apps/cli/bin/drover.mjs', import.meta.url));
const [aws, gcp, azure] = ['aws-us-east-1', 'gcp-us-central1', 'azure-eastus'];
let system: TestSystem;
before(async () => {
  system = await startTestSystem({ fakeFlags: () => ['--token-ms', '5'] });
});
after(() => system[Symbol.asyncDispose]());

const chat = (maxTokens: number) =>
  fetch(`${system.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${system.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'smollm2',
      stream: true,
      max_tokens: maxTokens,
      messages: [{ role: 'user', content: 'hello' }],
    }),
  });

async function answered(maxTokens = 4): Promise<{ id: string; cluster: string }> {
  const response = await chat(maxTokens);
  assert.equal(response.status, 200);
  await response.text();
  return {
    id: response.headers.get('x-request-id') ?? '',
    cluster: response.headers.get('x-drover-cluster') ?? '',
  };
}

async function eventually(assertion: () => Promise<unknown>, withinMs = 10_000): Promise<void> {
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

async function overview(): Promise<Overview> {
  const { code, out, notes } = await drover(system, ['status', '--json']);
  assert.equal(code, 0, notes);
  return JSON.parse(out);
}

test('status tells every cluster with its slots, rate and price', async () => {
  await eventually(async () => {
    const { clusters, queue, policy, deadLetters } = await overview();
    assert.deepEqual(clusters.map(({ cluster }) => cluster).toSorted(), [aws, azure, gcp]);
    for (const one of clusters) {
      assert.equal(one.phase, 'ready');
      assert.ok(one.slots > 0 && (one.tokensPerSecond ?? 0) > 0);
      const expected = ((one.usdPerHour ?? 0) / ((one.tokensPerSecond ?? 0) * 3_600)) * 1_000;
      assert.ok(Math.abs((one.usdPer1k ?? 0) - expected) < 1e-9);
    }
    assert.deepEqual(
      queue.map(({ band }) => band),
      ['interactive', 'standard', 'batch'],
    );
    assert.equal(policy?.strategy, 'cost');
    assert.equal(deadLetters, 0);
  });
  const { out } = await drover(system, ['status']);
  assert.match(out, /aws-us-east-1 +ready/);
});

test('top --once shows the same screen, and top --json a line each second until it is left', async () => {
  const once = await drover(system, ['top', '--once']);
  assert.equal(once.code, 0);
  assert.match(once.out, /slots busy/);
  const controller = new AbortController();
  const lines: string[] = [];
  const { code } = await drover(system, ['top', '--json'], {
    leaving: controller.signal,
    onOut: (line) => {
      if (lines.push(line) === 2) controller.abort();
    },
  });
  assert.equal(code, 0);
  assert.equal(lines.length, 2);
  const [first, second] = lines.map((line) => JSON.parse(line).atMs);
  assert.ok(second - first >= 900, `${second - first} ms between two lines`);
  const refused = await drover(system, ['top']);
  assert.equal(refused.code, 2);
  assert.match(refused.notes, /usage: /);
});

test('explain says why a request went where it went, and what became of it', async () => {
  const { id, cluster } = await answered();
  await eventually(async () => {
    const { code, out, notes } = await drover(system, ['explain', id]);
    assert.equal(code, 0, notes);
    assert.match(out, new RegExp(`Request ${id} went to ${cluster}`));
    assert.match(out, /It is done: 4 units/);
  });
  const { out } = await drover(system, ['explain', id, '--json']);
  const { decisions, attempts, events } = JSON.parse(out);
  assert.equal(decisions[0].chosen, cluster);
  assert.deepEqual(attempts, []);
  assert.equal(events.at(-1).event.state, 'ended');
  const unknown = await drover(system, ['explain', 'req_nobody', '--json']);
  assert.equal(unknown.code, 1);
  assert.equal(JSON.parse(unknown.notes).error.code, 'not_found');
});

test('a price that is set moves the traffic', async () => {
  const { cluster: before } = await answered();
  const other = before === azure ? aws : azure;
  const others = [aws, gcp, azure].filter((cluster) => cluster !== other);
  for (const cluster of others)
    await drover(system, ['price', 'set', cluster ?? '', '--usd-per-hour', '900']);
  const set = await drover(system, [
    ...['price', 'set', other ?? '', '--usd-per-hour', '0.001'],
    ...['--market', 'spot', '--json'],
  ]);
  assert.equal(set.code, 0, set.notes);
  const { tariff } = JSON.parse(set.out);
  assert.deepEqual([tariff.usdPerHour, tariff.market, tariff.source], [0.001, 'spot', 'set by tester']);
  await eventually(async () => assert.equal((await answered()).cluster, other));
});

test('a price that is set for a time has it, and one that is set for good has none', async () => {
  const set = async (...more: string[]) => {
    const args = ['price', 'set', gcp ?? '', '--usd-per-hour', '0.5', '--json', ...more];
    return drover(system, args);
  };
  assert.equal(JSON.parse((await set('--for', '90m')).out).tariff.validForMs, 5_400_000);
  assert.ok(!('validForMs' in JSON.parse((await set()).out).tariff));
  for (const span of ['soon', '0s', '-1h', '5']) assert.equal((await set(`--for=${span}`)).code, 2, span);
});

test('a price is refused for a cluster that does not exist, and when it is no number', async () => {
  const unknown = await drover(system, ['price', 'set', 'nowhere', '--usd-per-hour', '1']);
  assert.equal(unknown.code, 1);
  assert.match(unknown.notes, /unknown_cluster/);
  for (const price of ['cheap', '-1', ''])
    assert.equal((await drover(system, ['price', 'set', aws ?? '', `--usd-per-hour=${price}`])).code, 2);
  assert.equal((await drover(system, ['price', 'set', aws ?? ''])).code, 2);
});

test('a dry run of a policy changes nothing, and an applied one is in force at once', async () => {
  const file = join(system.stateDir, 'new-policy.json');
  const text = { v: 1, strategy: 'cluster-first', order: [gcp], exploration: 0 };
  writeFileSync(file, JSON.stringify(text));
  const { policy: before } = await overview();
  const dry = await drover(system, ['policy', 'apply', file, '--dry-run']);
  assert.equal(dry.code, 0, dry.notes);
  assert.match(dry.out, /strategy: "cost" → "cluster-first"/);
  assert.deepEqual((await overview()).policy, before);

  const unasked = await drover(system, ['policy', 'apply', file]);
  assert.equal(unasked.code, 2);
  assert.match(unasked.notes, /confirmation_required/);
  const declined = await drover(system, ['policy', 'apply', file], { answer: 'n' });
  assert.equal(declined.code, 1);
  assert.deepEqual((await overview()).policy, before);

  const applied = await drover(system, ['policy', 'apply', file, '--yes', '--json']);
  assert.equal(applied.code, 0, applied.notes);
  assert.equal(JSON.parse(applied.out).applied, true);
  await eventually(async () => assert.equal((await answered()).cluster, gcp));
  assert.match((await drover(system, ['policy', 'apply', file, '--yes'])).out, /Nothing changes/);
});

test('a policy that does not parse is refused with every field at fault', async () => {
  const file = join(system.stateDir, 'bad-policy.json');
  writeFileSync(file, JSON.stringify({ v: 1, strategy: 'cost', dwellMs: -1, nonsense: true }));
  const { code, notes } = await drover(system, ['policy', 'apply', file, '--yes']);
  assert.equal(code, 1);
  assert.match(notes, /invalid_file/);
  assert.match(notes, /dwellMs/);
  assert.match(notes, /nonsense/);
});

test('a drained cluster finishes what it has and gets nothing new until it is opened again', async () => {
  const running = await chat(150);
  const cluster = running.headers.get('x-drover-cluster') ?? '';
  assert.equal(cluster, gcp);
  const reader = running.body?.getReader();
  await reader?.read();
  const notWaited = await drover(system, ['drain', cluster, '--yes', '--no-wait', '--json']);
  assert.equal(notWaited.code, 0, notWaited.notes);
  assert.equal(JSON.parse(notWaited.out).jobs, 1);
  const impatient = await drover(system, ['drain', cluster, '--yes', '--timeout-s', '0']);
  assert.equal(impatient.code, 1);
  assert.match(impatient.notes, /timeout/);

  await eventually(async () => assert.notEqual((await answered()).cluster, cluster));
  const waited = drover(system, ['drain', cluster, '--yes', '--reason', 'kernel update']);
  let text = '';
  const decoder = new TextDecoder();
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read())
    text += decoder.decode(part.value);
  assert.match(text, /data: \[DONE\]/);
  const drained = await waited;
  assert.equal(drained.code, 0, drained.notes);
  assert.match(drained.out, /is empty/);

  const { id, cluster: elsewhere } = await answered();
  assert.notEqual(elsewhere, cluster);
  await eventually(async () => {
    const { out } = await drover(system, ['explain', id]);
    assert.match(out, /cordoned \(closed by an operator: kernel update\)/);
  });
  assert.match((await drover(system, ['status'])).out, /cordoned \(kernel update\)/);

  assert.equal((await drover(system, ['uncordon', cluster])).code, 0);
  assert.match((await drover(system, ['uncordon', cluster])).out, /was open/);
  await eventually(async () => assert.equal((await answered()).cluster, cluster));
});

test('who drained a cluster, when and why stays in the history of the bucket', async () => {
  const { Kvm } = await import('@nats-io/kv');
  const { connectAs } = await import('../support/connect-as.ts');
  await using admin = await connectAs(system, 'admin');
  const kv = await new Kvm(admin.js).open('LLM_POLICY');
  const history: string[] = [];
  for await (const entry of await kv.history({ key: `cordon.${gcp}` })) {
    if (entry.operation !== 'PUT') history.push('opened');
    else {
      const { by, reason } = cordon.parse(entry.json());
      history.push(`${by}: ${reason}`);
    }
  }
  assert.deepEqual(history.slice(-2), ['tester: kernel update', 'opened']);
});

test('wrong usage exits with 2 and says how it is used', async () => {
  for (const args of [['nonsense'], ['dead'], ['status', '--nonsense'], ['explain'], ['drain', 'a', 'b']]) {
    const { code, notes } = await drover(system, args);
    assert.equal(code, 2, args.join(' '));
    assert.match(notes, /drover: usage: /);
  }
  const help = await drover(system, ['--help']);
  assert.equal(help.code, 0);
  assert.match(help.out, /dead retry/);
  assert.equal((await drover(system, ['dead', 'retry', '--help'])).code, 0);
});

/** The program as it is installed: its own process, the local run's key found by itself. */
function runBinary(
  args: string[],
  env: Record<string, string>,
): Promise<{ code: number | null; text: string }> {
  const child = spawn(process.execPath, [binary, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => {
      text += data.toString();
    });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, text })));
}

test('the program finds the key of the local run, and its exit code is the result', async () => {
  const env = { NATS_URL: system.natsUrl, DROVER_STATE_DIR: system.stateDir };
  const status = await runBinary(['status', '--json'], env);
  assert.equal(status.code, 0, status.text);
  assert.equal(JSON.parse(status.text).clusters.length, 3);
  assert.equal((await runBinary(['nonsense'], env)).code, 2);
});

test('a server that does not let us in is named within seconds', async () => {
  const { code, text } = await runBinary(['status'], {
    NATS_URL: 'nats://127.0.0.1:1',
    DROVER_STATE_DIR: system.stateDir,
  });
  assert.equal(code, 1);
  assert.match(text, /drover: unavailable: .*127\.0\.0\.1:1/);
});
