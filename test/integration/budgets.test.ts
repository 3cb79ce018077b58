import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createLogger, readSubject } from '@drover/runtime';
import {
  buckets,
  type LedgerRecord,
  ledgerRecord,
  type Portion,
  parseMessage,
  type Reservations,
  requestId,
  reservations,
  streams,
  subjects,
} from '@drover/schemas';
import { Kvm } from '@nats-io/kv';
import { z } from 'zod';
import { startSettler } from '../../apps/scheduler/src/nats/settler.ts';
import { usage } from '../support/fake-fleet.ts';
import { type Edge, errorOf, eventually, startEdge } from '../support/ingress.ts';

const day = 'day' as const;
/** What every key of a budget pays per 1K at most, and what the fake fleet takes. */
const maxUsdPer1k = 0.001;
const keys = [
  { id: 'burst', tenant: 't1', budget: { usd: 0.01, period: day }, maxUsdPer1k },
  { id: 'lapse', tenant: 't1', budget: { usd: 0.001, period: day }, maxUsdPer1k },
  { id: 'again', tenant: 't1', budget: { usd: 0.001, period: day }, maxUsdPer1k },
  { id: 'full', tenant: 't1', budget: { usd: 0.001, period: day }, maxUsdPer1k },
  { id: 'dear', tenant: 't1', budget: { usd: 1, period: 'month' as const }, maxUsdPer1k },
  { id: 'limited', tenant: 't1', requestsPerMinute: 3, tokensPerMinute: 1_000 },
  { id: 'tokens', tenant: 't1', tokensPerMinute: 1_000 },
  { id: 'shared', tenant: 't1', requestsPerMinute: 4 },
  { id: 'costs', tenant: 't3' },
  { id: 'stranger', tenant: 't4' },
  { id: 'early', tenant: 't5' },
];
const secretOf = (id: string) => `sk-${id}`;

let edge: Edge;
let peer: string;
let settler: { stop(): Promise<void> };
const folder = mkdtempSync(join(tmpdir(), 'drover-budgets-'));

before(async () => {
  const file = join(folder, 'keys.json');
  const stored = keys.map((key) => ({
    ...key,
    sha256: createHash('sha256').update(secretOf(key.id)).digest('hex'),
  }));
  writeFileSync(file, JSON.stringify({ v: 1, keys: stored }));
  edge = await startEdge({ API_KEYS_FILE: file });
  peer = await edge.startPeer();
  const silent = createLogger('test', 'silent');
  settler = await startSettler(edge.nats, { onSettled: () => {}, onTrouble: () => {} }, silent);
});
after(async () => {
  await settler.stop();
  await edge[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Posts a small chat; the fake fleet answers it. */
const ask = (id: string, options: { url?: string; body?: object; headers?: Record<string, string> } = {}) =>
  fetch(`${options.url ?? edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${secretOf(id)}`,
      'content-type': 'application/json',
      ...options.headers,
    },
    body: JSON.stringify({
      model: 'smol',
      max_tokens: 32,
      messages: [{ role: 'user', content: 'Say something.' }],
      ...options.body,
    }),
  });

/** What the fleet says it took: as much as it may, at the highest price. */
const portion = (change: Partial<Portion> = {}): Portion => ({
  cluster: 'aws-us-east-1',
  attempt: 1,
  promptTokens: 40,
  completionTokens: 32,
  usdPer1k: maxUsdPer1k,
  usdPer1kPrompt: maxUsdPer1k,
  ...change,
});

const answerWith =
  (...metered: Portion[]): Edge['fleet']['script'] =>
  async (job) => {
    job.open();
    job.tokens(0, ['Hello', ' there', '!']);
    await job.end({ status: 'done', finish: 'stop', units: 3, usage }, metered);
  };

async function ledgerOf(key: string): Promise<LedgerRecord[]> {
  const messages = await readSubject(edge.nats, streams.ledger.name, subjects.ledger('*', '*'));
  return messages
    .map(({ data }) => ledgerRecord.parse(JSON.parse(new TextDecoder().decode(data))))
    .filter((record) => record.key === key);
}

const bucket = () => new Kvm(edge.nats.js).open(buckets.budgets.name);

/** What is reserved for a key now. */
async function reservedFor(key: string): Promise<Reservations> {
  const entry = await (await bucket()).get(key);
  if (entry === null) return { v: 1, ledgerSeq: 0, open: {} };
  const parsed = parseMessage(reservations, entry.value);
  return parsed.ok ? parsed.value : assert.fail(parsed.problem);
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** How many requests of the key `burst` an ingress has read the end of. */
async function settledAt(url: string): Promise<number> {
  const response = await fetch(`${url}/v1/costs?by=key`, {
    headers: { authorization: `Bearer ${secretOf('burst')}` },
  });
  const { data } = costsAnswer.parse(await response.json());
  return data.find(({ key }) => key === 'burst')?.requests ?? 0;
}

test('fifty requests at once through two ingresses never cost more than the budget, and the rest gets 429', async () => {
  edge.fleet.script = answerWith(portion());
  const statuses: number[] = [];
  let settledUsd = 0;
  // Until a whole round fits nothing any more: what earlier rounds reserved and did not use is free again.
  for (let round = 0; round < 60; round++) {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => ask('burst', { url: index % 2 === 0 ? edge.url : peer })),
    );
    for (const answer of answers) {
      statuses.push(answer.status);
      if (answer.status === 200) await answer.text();
      else assert.equal((await errorOf(answer)).code, 'budget_exceeded');
    }
    const granted = statuses.filter((status) => status === 200).length;
    await eventually(async () => (await ledgerOf('burst')).length === granted, 20_000);
    settledUsd = sum((await ledgerOf('burst')).map(({ usd }) => usd ?? assert.fail('not priced')));
    assert.ok(settledUsd <= 0.01 + 1e-12, `${settledUsd} of 0.01`);
    // An ingress that has not read a record yet counts its request as reserved, at a higher price.
    for (const url of [edge.url, peer])
      await eventually(async () => (await settledAt(url)) === granted, 20_000);
    if (answers.every(({ status }) => status === 429)) break;
  }
  assert.deepEqual([...new Set(statuses)].sort(), [200, 429]);
  // The last ones are refused although something is left: less than the dearest answer could cost.
  assert.ok(settledUsd > 0.009, `only ${settledUsd} of 0.01 was ever used`);
});

test('a refusal says insufficient_quota, and nothing is accepted', async () => {
  const before = edge.fleet.taken.length;
  const refused = await ask('full', { body: { max_tokens: 100_000 } });
  assert.equal(refused.status, 429);
  const error = await errorOf(refused);
  assert.equal(error.type, 'insufficient_quota');
  assert.match(error.message, /\$0\.001 per day/);
  assert.equal(edge.fleet.taken.length, before);
  assert.deepEqual((await reservedFor('full')).open, {});
});

test('what a dead ingress reserved lapses once its time is over, unless the request has run', async () => {
  edge.fleet.script = answerWith(portion());
  const [never, ran] = [requestId.parse('req_chat_never'), requestId.parse('req_chat_ran')];
  const hold = async (id: string, expiresAtMs: number) =>
    (await bucket()).put(
      'lapse',
      JSON.stringify({ v: 1, ledgerSeq: 0, open: { [id]: { usd: 0.0009, expiresAtMs } } }),
    );
  await hold(never, Date.now() + 60_000);
  assert.equal((await ask('lapse')).status, 429);
  await edge.nats.js.publish(
    subjects.event('aws-us-east-1', 't1', ran),
    JSON.stringify({ v: 1, state: 'running', agent: 'a', attempt: 1, atMs: 0 }),
  );
  await hold(ran, Date.now() - 1);
  assert.equal((await ask('lapse')).status, 429);
  await hold(never, Date.now() - 1);
  assert.equal((await ask('lapse')).status, 200);
});

test('a request that comes again with its idempotency key is reserved and charged once', async () => {
  edge.fleet.script = answerWith(portion());
  const headers = { 'idempotency-key': 'one' };
  for (const url of [edge.url, peer, edge.url])
    assert.equal((await ask('again', { url, headers })).status, 200);
  await eventually(async () => (await ledgerOf('again')).length === 1);
  assert.ok(Object.keys((await reservedFor('again')).open).length <= 1);
});

test('a key’s ceiling holds whatever the client asks, and an answer without a limit gets one', async () => {
  edge.fleet.script = answerWith(portion());
  const asked = async (headers: Record<string, string>, body: object) => {
    assert.equal((await ask('dear', { headers, body })).status, 200);
    return edge.fleet.taken.at(-1);
  };
  const loose = await asked({ 'x-drover-max-usd-per-1k': '5' }, { max_tokens: undefined, n_predict: -1 });
  assert.equal(loose?.maxUsdPer1k, maxUsdPer1k);
  assert.equal(loose?.key, 'dear');
  assert.equal(loose?.endpoint === 'chat' && loose.body.max_tokens, 4096);
  assert.equal(loose?.endpoint === 'chat' && 'n_predict' in loose.body, false);
  const tight = await asked({ 'x-drover-max-usd-per-1k': '0.0005' }, {});
  assert.equal(tight?.maxUsdPer1k, 0.0005);
});

test('a limited key is told how it stands on every answer, and when to come back', async () => {
  edge.fleet.script = answerWith(portion());
  const models = await fetch(`${edge.url}/v1/models`, {
    headers: { authorization: `Bearer ${secretOf('limited')}` },
  });
  assert.equal(models.headers.get('x-ratelimit-limit-requests'), '3');
  assert.equal(models.headers.get('x-ratelimit-remaining-requests'), '3');
  assert.equal(models.headers.get('x-ratelimit-reset-requests'), '0s');
  assert.equal(models.headers.get('x-ratelimit-limit-tokens'), '1000');
  for (const remaining of ['2', '1', '0']) {
    const answer = await ask('limited', { body: { stream: remaining === '1' } });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('x-ratelimit-remaining-requests'), remaining);
    await answer.text();
  }
  const refused = await ask('limited');
  assert.equal(refused.status, 429);
  assert.equal((await errorOf(refused)).code, 'rate_limited');
  const seconds = Number(refused.headers.get('retry-after'));
  assert.ok(seconds >= 1 && seconds <= 20, `retry-after ${seconds}`);
  assert.equal(refused.headers.get('x-ratelimit-remaining-requests'), '0');
});

test('a limit holds over all ingresses together, a tenth of a second later', async () => {
  edge.fleet.script = answerWith(portion());
  const left = async (url: string) => {
    const headers = { authorization: `Bearer ${secretOf('shared')}` };
    const answer = await fetch(`${url}/v1/models`, { headers });
    return answer.headers.get('x-ratelimit-remaining-requests');
  };
  for (const url of [edge.url, edge.url, edge.url]) assert.equal((await ask('shared', { url })).status, 200);
  await eventually(async () => (await left(peer)) === '1');
  assert.equal((await ask('shared', { url: peer })).status, 200);
  await eventually(async () => (await left(edge.url)) === '0');
  for (const url of [peer, edge.url]) assert.equal((await ask('shared', { url })).status, 429);
});

test('a request that is refused early says when to come back, in a header and, inside a stream, in the event', async () => {
  const refused = { status: 'failed', code: 'queue_full', message: 'full', units: 0 } as const;
  edge.fleet.script = async (job) => job.end({ ...refused, retryAfterMs: 4_200 }, []);
  for (const stream of [false, true]) {
    const answer = await ask('early', { body: { stream } });
    assert.equal(answer.status, 429);
    assert.equal(answer.headers.get('retry-after'), '5');
    assert.equal((await errorOf(answer)).code, 'queue_full');
  }
  edge.fleet.script = async (job) => {
    job.open();
    job.tokens(0, ['Hello']);
    await job.end({ ...refused, retryAfterMs: 4_200, units: 1 }, []);
  };
  const begun = await ask('early', { body: { stream: true } });
  assert.equal(begun.status, 200);
  const last = (await begun.text())
    .split('\n\n')
    .filter((text) => text.startsWith('data: '))
    .at(-1);
  assert.equal(streamError.parse(JSON.parse(last?.slice('data: '.length) ?? '')).error.retry_after, 5);
});
const streamError = z.object({ error: z.object({ code: z.string(), retry_after: z.number() }) });

test('tokens are taken by a guess, and corrected when the answer is there', async () => {
  edge.fleet.script = answerWith(portion());
  const standing = async () => {
    const answer = await fetch(`${edge.url}/v1/models`, {
      headers: { authorization: `Bearer ${secretOf('tokens')}` },
    });
    return Number(answer.headers.get('x-ratelimit-remaining-tokens'));
  };
  const answer = await ask('tokens', { body: { max_tokens: 900 } });
  const guessed = Number(answer.headers.get('x-ratelimit-remaining-tokens'));
  assert.ok(guessed < 100, `${guessed} left`);
  await answer.text();
  // The answer had 5 + 3 tokens.
  await eventually(async () => (await standing()) >= 992);
});

test('a tenant sees what its own requests cost, by every dimension, and nobody else’s', async () => {
  edge.fleet.script = answerWith(
    portion({ cluster: 'gcp', promptTokens: 10, completionTokens: 4 }),
    portion({ attempt: 2, promptTokens: 0, completionTokens: 6, usdPer1k: 0.0005 }),
  );
  await (await ask('costs')).text();
  edge.fleet.script = answerWith(portion({ cluster: 'gcp', usdPer1k: undefined }));
  await (await ask('costs')).text();
  await eventually(async () => (await ledgerOf('costs')).length === 2);

  const costs = async (query: string, id = 'costs', url = edge.url) => {
    const response = await fetch(`${url}/v1/costs${query}`, {
      headers: { authorization: `Bearer ${secretOf(id)}` },
    });
    assert.equal(response.status, 200, query);
    return costsAnswer.parse(await response.json());
  };
  const firstUsd = (14 * 0.001 + 6 * 0.0005) / 1_000;
  await eventually(async () => (await costs('', 'costs', peer)).total.requests === 2);
  const total = { usd: firstUsd, prompt_tokens: 50, completion_tokens: 42, requests: 2, unpriced: 1 };
  assert.deepEqual((await costs('')).total, total);
  for (const by of ['tenant', 'cluster', 'model', 'hour', 'key']) {
    const { data } = await costs(`?by=${by}`);
    assert.ok(Math.abs(sum(data.map(({ usd }) => usd)) - firstUsd) < 1e-15, by);
    assert.equal(sum(data.map(({ requests }) => requests)), 2, by);
  }
  const byCluster = (await costs('?by=cluster')).data;
  assert.deepEqual(
    byCluster.map(({ cluster, completion_tokens, requests }) => [cluster, completion_tokens, requests]),
    [
      ['gcp', 36, 1],
      ['aws-us-east-1', 6, 1],
    ],
  );
  assert.deepEqual(
    (await costs('?by=model')).data.map(({ model }) => model),
    ['smol'],
  );
  assert.deepEqual(
    (await costs('?by=key')).data.map(({ key }) => key),
    ['costs'],
  );
  assert.equal((await costs('?to=2020-01-02&from=2020-01-01')).total.requests, 0);
  assert.equal((await costs('', 'stranger')).total.requests, 0);
  const metrics = await edge.registry.metrics();
  assert.match(metrics, /drover_ingress_settled_usd_total{cluster="aws-us-east-1"} 0\.\d/);
  assert.match(metrics, /drover_ingress_settled_requests_total{status="done",priced="no"} 1/);
  for (const bad of ['?by=prompt', '?from=yesterday', '?tenant=t1', '?from=2026-02-01&to=2026-01-01']) {
    const response = await fetch(`${edge.url}/v1/costs${bad}`, {
      headers: { authorization: `Bearer ${secretOf('costs')}` },
    });
    assert.equal(response.status, 400, bad);
    assert.ok((await errorOf(response)).param, bad);
  }
});

const sums = {
  usd: z.number(),
  prompt_tokens: z.number(),
  completion_tokens: z.number(),
  requests: z.number(),
  unpriced: z.number(),
};
const costsAnswer = z.object({
  data: z.array(
    z.object({
      ...sums,
      cluster: z.string().nullish(),
      model: z.string().nullish(),
      key: z.string().nullish(),
    }),
  ),
  total: z.object(sums),
});

test('while there is no ledger, costs and budgets are unavailable, and other keys are served', async () => {
  await using other = await startEdge({ API_KEYS_FILE: join(folder, 'keys.json') });
  await other.nats.jsm.streams.delete(streams.ledger.name);
  const url = await other.startPeer();
  const authorization = `Bearer ${secretOf('dear')}`;
  assert.equal((await fetch(`${url}/v1/costs`, { headers: { authorization } })).status, 503);
  const [kept, free] = await Promise.all([ask('dear', { url }), ask('costs', { url })]);
  assert.equal(kept.status, 503);
  assert.equal((await errorOf(kept)).code, 'unavailable');
  assert.equal(free.status, 200);
});
