import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createLogger, createRegistry } from '@drover/runtime';
import { type DecisionRecord, decisionRecord, type ExperimentInput, parseValue } from '@drover/schemas';
import type { ExperimentReport } from '../../apps/cli/src/core/experiment/report.ts';
import { createMetrics } from '../../apps/scheduler/src/metrics.ts';
import { startScheduler } from '../../apps/scheduler/src/start.ts';
import { drover } from '../support/cli.ts';
import { connectAs } from '../support/connect-as.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

const [aws, gcp, azure] = ['aws-us-east-1', 'gcp-us-central1', 'azure-eastus'];
const [q4, q8] = ['smollm2-q4', 'smollm2-q8'];
const replayScript = fileURLToPath(new URL('../sim/replay.ts', import.meta.url));
const first = (cluster: string) => ({
  v: 1 as const,
  strategy: 'cluster-first' as const,
  order: [cluster],
  exploration: 0,
});
let system: TestSystem;

before(async () => {
  const model = (name: string) => ({ name, aliases: [], endpoints: ['chat' as const], contextTokens: 2_048 });
  system = await startTestSystem({
    fakeFlags: ({ id }) => ['--token-ms', '2', '--alias', id === azure ? q8 : q4],
    policy: first(aws),
    models: {
      v: 1,
      models: [model(q4), model(q8)],
      variants: [{ name: 'smollm2', models: { [q4]: 1, [q8]: 1 } }],
    },
  });
});
after(() => system[Symbol.asyncDispose]());

type Answer = {
  readonly id: string;
  readonly cluster: string;
  readonly model: string;
  readonly named: string;
};

async function ask(model: string, user?: string): Promise<Answer> {
  const response = await fetch(`${system.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${system.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model,
      max_tokens: 4,
      messages: [{ role: 'user', content: 'hello' }],
      ...(user === undefined ? {} : { user }),
    }),
  });
  const answer: unknown = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  const header = (name: string) => response.headers.get(name) ?? '';
  const named = String(Object(answer).model);
  return {
    id: header('x-request-id'),
    cluster: header('x-drover-cluster'),
    model: header('x-drover-model'),
    named,
  };
}

async function apply(experiment: ExperimentInput): Promise<void> {
  const file = join(system.stateDir, 'experiment.json');
  writeFileSync(file, JSON.stringify(experiment));
  const { code, notes } = await drover(system, ['experiment', 'apply', file, '--yes']);
  assert.equal(code, 0, notes);
}

async function exported(): Promise<DecisionRecord[]> {
  const { code, out, notes } = await drover(system, ['decisions', 'export']);
  assert.deepEqual([code, notes], [0, '']);
  return out.split('\n').flatMap((line) => {
    if (line === '') return [];
    const parsed = parseValue(decisionRecord, JSON.parse(line));
    assert.ok(parsed.ok, parsed.ok ? '' : parsed.problem);
    return [parsed.value];
  });
}

/** The recorded decisions of these requests, once all of them are there. */
const decisionsOn = (answers: readonly Answer[]): Promise<DecisionRecord[]> =>
  eventually(async () => {
    const records = (await exported()).filter(({ request }) => answers.some(({ id }) => id === request));
    assert.equal(records.length, answers.length);
    return records;
  });

async function reported(): Promise<ExperimentReport> {
  const { code, out, notes } = await drover(system, ['experiment', 'report', '--json']);
  assert.equal(code, 0, notes);
  return JSON.parse(out);
}

async function eventually<T>(probe: () => Promise<T>, withinMs = 10_000): Promise<T> {
  const giveUpMs = performance.now() + withinMs;
  while (true) {
    try {
      return await probe();
    } catch (error) {
      if (performance.now() > giveUpMs) throw error;
      await sleep(50);
    }
  }
}

test('a variant gives each user always the same model, says which, and is reported by model', async () => {
  const users = Array.from({ length: 10 }, (_, n) => `user-${n}`);
  const answers: Answer[] = [];
  for (const user of [...users, ...users]) answers.push(await ask('smollm2', user));
  for (const [n] of users.entries()) assert.equal(answers[n]?.model, answers[n + users.length]?.model);
  assert.deepEqual([...new Set(answers.map(({ model }) => model))].toSorted(), [q4, q8]);
  for (const { model, named, cluster } of answers) {
    assert.equal(named, model);
    assert.equal(cluster === azure, model === q8);
  }
  const records = await decisionsOn(answers);
  for (const { request, arm, model } of records) {
    assert.equal(arm?.variant, 'smollm2');
    assert.equal(arm?.model, model);
    assert.equal(answers.find(({ id }) => id === request)?.model, model);
  }
  const groups = await eventually(async () => {
    const found = (await reported()).comparisons.find(({ kind }) => kind === 'variants')?.groups ?? [];
    // The ledger is written after the answer.
    assert.ok(
      found.length === 2 && found.every(({ requests, outputTokens }) => outputTokens === 4 * requests),
    );
    return found;
  });
  for (const { name, requests, done, usd, clusters, figures } of groups) {
    const own = answers.filter(({ model }) => model === name);
    assert.equal(requests, own.length);
    assert.equal(done, own.length);
    assert.equal(clusters, own.length / 2);
    assert.ok(usd > 0);
    assert.equal(figures.kept?.value, 1);
    assert.ok(figures.settledUsdPer1k && figures.totalMs && figures.ttftMs && figures.predictedTtftMs);
  }
  const metrics = await (await fetch(`${system.metricsUrl.scheduler}/metrics`)).text();
  for (const { name, requests } of groups)
    for (const metric of ['variant_requests_total', 'variant_ended_total', 'variant_ttft_seconds_count'])
      assert.match(
        metrics,
        new RegExp(`drover_scheduler_${metric}\\{[^}]*model="${name}"[^}]*\\} ${requests}\n`),
      );
});

test('a shadow that prefers another cluster is reported, and no request goes where it says', async () => {
  await apply({ v: 1, name: 'dry', shadow: { name: 'to-gcp', policy: first(gcp ?? '') } });
  await eventually(async () => {
    const [record] = await decisionsOn([await ask(q4 ?? '')]);
    assert.ok(record?.shadow);
  });
  const answers: Answer[] = [];
  for (let n = 0; n < 8; n++) answers.push(await ask(q4 ?? ''));
  for (const { cluster } of answers) assert.equal(cluster, aws);
  for (const { chosen, shadow, attempt } of await decisionsOn(answers)) {
    assert.deepEqual([chosen, attempt], [aws, 1]);
    assert.equal(shadow?.chosen, gcp);
    assert.ok((shadow?.marginalUsd ?? 0) > 0);
  }
  const { shadows } = await reported();
  const [report] = shadows;
  assert.ok(report && report.decisions >= answers.length);
  assert.deepEqual([report.experiment, report.policy, report.agreed, report.errors], ['dry', 'to-gcp', 0, 0]);
  assert.deepEqual(report.moves, [{ real: aws, would: gcp, decisions: report.decisions }]);
  assert.notEqual(report.usdMore, 0);
  const { out } = await drover(system, ['explain', answers[0]?.id ?? '']);
  assert.match(out, /The shadow policy to-gcp would have chosen gcp-us-central1\. That changed nothing\./);
});

test('two schedulers change policies at the same moments, and the report compares the windows', async () => {
  await using nats = await connectAs(system, 'scheduler');
  const second = await startScheduler(nats, {
    log: createLogger('second', 'fatal'),
    metrics: createMetrics(createRegistry('second')),
    schedulerId: 'second',
  });
  await using _ = { [Symbol.asyncDispose]: () => second.stop() };
  const windowMs = 1_500;
  const startsAt = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 1_000).toISOString();
  await apply({
    v: 1,
    name: 'turns',
    switchback: {
      policies: { a: first(aws ?? ''), b: first(gcp ?? '') },
      seed: 3,
      startsAt,
      windowMs,
      burnInMs: 300,
    },
  });
  const untilMs = Date.parse(startsAt) + 6 * windowMs;
  const answers: Answer[] = [];
  while (Date.now() < untilMs) {
    answers.push(...(await Promise.all([ask(q4 ?? ''), ask(q4 ?? '')])));
    await sleep(60);
  }
  const records = (await decisionsOn(answers)).filter(({ turn }) => turn);
  assert.ok(records.length > 20);
  const policies = new Map<number, string>();
  for (const { request, turn, chosen, decidedAtMs, inputs } of records) {
    if (!turn) continue;
    assert.equal(turn.window, Math.floor((decidedAtMs - Date.parse(startsAt)) / windowMs));
    assert.equal(turn.policy, policies.get(turn.window) ?? turn.policy);
    policies.set(turn.window, turn.policy);
    assert.equal(chosen, turn.policy === 'a' ? aws : gcp);
    assert.equal(answers.find(({ id }) => id === request)?.cluster, chosen);
    assert.ok(inputs?.policy.strategy === 'cluster-first' && inputs.policy.order[0] === chosen);
  }
  assert.ok(policies.size >= 5);
  const comparison = await eventually(async () => {
    const found = (await reported()).comparisons.find(({ name }) => name === 'turns');
    assert.ok(found);
    assert.ok(found.groups.every(({ requests, outputTokens }) => outputTokens === 4 * requests));
    return found;
  });
  assert.deepEqual(
    comparison.groups.map(({ name }) => name),
    ['a', 'b'],
  );
  const burnIn = records.filter(({ turn }) => turn?.burnIn).length;
  assert.equal(comparison.burnIn, burnIn);
  assert.equal(
    comparison.groups.reduce((sum, { requests }) => sum + requests, 0),
    records.length - burnIn,
  );
  for (const { clusters, figures } of comparison.groups) {
    assert.ok(clusters >= 2);
    assert.ok(figures.settledUsdPer1k?.interval && figures.totalMs?.interval && figures.kept);
  }
  const { out } = await drover(system, ['experiment', 'report']);
  assert.match(out, /Experiment turns: policies in turns/);
  assert.match(out, /b − a/);

  assert.equal((await drover(system, ['experiment', 'stop', '--yes'])).code, 0);
  await eventually(async () => {
    const [record] = await decisionsOn([await ask(q4 ?? '')]);
    assert.equal(record?.turn, undefined);
    assert.equal(record?.chosen, aws);
  });
});

test('exported decisions of experiments are the same again bit for bit, and another policy is told its cost', async () => {
  const decisions = join(system.stateDir, 'decisions.jsonl');
  const { out } = await drover(system, ['decisions', 'export']);
  writeFileSync(decisions, out);
  const other = join(system.stateDir, 'other.json');
  writeFileSync(other, JSON.stringify(first(gcp ?? '')));
  const { status, stdout } = spawnSync(
    process.execPath,
    [replayScript, '--decisions', decisions, '--policy', other],
    { encoding: 'utf8' },
  );
  assert.equal(status, 0, stdout);
  assert.match(stdout, /\d+ decisions: (\d+) the same again, 0 not, 0 without inputs/);
  assert.match(stdout, /× aws-us-east-1 → gcp-us-central1/);
});

test('an experiment that does not parse is refused with every field at fault, and one that is not there cannot end', async () => {
  const file = join(system.stateDir, 'bad.json');
  writeFileSync(
    file,
    JSON.stringify({ v: 1, name: 'x', shadow: { name: 's', policy: first('aws'), shar: 1 } }),
  );
  const { code, notes } = await drover(system, ['experiment', 'apply', file, '--yes']);
  assert.equal(code, 1);
  assert.match(notes, /invalid_file.*shar/);
  const stopped = await drover(system, ['experiment', 'stop', '--yes']);
  assert.equal(stopped.code, 1);
  assert.match(stopped.notes, /not_found/);
});
