import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { lastMessage, type Nats } from '@drover/runtime';
import {
  type DecisionRecord,
  decisionRecord,
  event,
  type LedgerRecord,
  ledgerRecord,
  type Request,
  streams,
  subjects,
} from '@drover/schemas';
import { nuid } from 'nats';
import { z } from 'zod';
import { localClusters, localModel, localTenant } from '../../infra/local/src/clusters.ts';
import { connectAs } from '../support/connect-as.ts';
import { eventually } from '../support/ingress.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

let system: TestSystem;
let admin: Nats & AsyncDisposable;
before(async () => {
  system = await startTestSystem({
    clusters: localClusters.slice(0, 1),
    fakeFlags: () => ['--token-ms', '20'],
  });
  admin = await connectAs(system, 'admin');
});
after(async () => {
  await admin[Symbol.asyncDispose]();
  await system[Symbol.asyncDispose]();
});

const post = (body: object, headers: Record<string, string> = {}, signal?: AbortSignal) =>
  fetch(`${system.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${system.apiKey}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: localModel, ...body }),
    ...(signal ? { signal } : {}),
  });

async function stored<T>(stream: string, subject: string, schema: z.ZodType<T>): Promise<T> {
  let found: T | undefined;
  await eventually(async () => {
    const last = await lastMessage(admin, stream, subject);
    if (last === null) return false;
    found = schema.parse(JSON.parse(new TextDecoder().decode(last.data)));
    return true;
  }, 20_000);
  return found ?? assert.fail();
}
const settled = (id: string): Promise<LedgerRecord> =>
  stored(streams.ledger.name, subjects.ledger(localTenant, id), ledgerRecord);
const decided = (id: string): Promise<DecisionRecord> =>
  stored(streams.decisions.name, subjects.decision(localTenant, id), decisionRecord);

// First: what was learned of short answers would make it quick.
test('what no cluster can answer in time is refused at once, with the time to come back, over HTTP and on NATS', async () => {
  const leave = new AbortController();
  const messages = [{ role: 'user', content: 'Go on for long.' }];
  const slots = localClusters[0]?.slots ?? 0;
  const busy = await Promise.all(
    Array.from({ length: slots }, () =>
      post({ messages, max_tokens: 1_500, stream: true }, {}, leave.signal),
    ),
  );
  const askedMs = performance.now();
  const refused = await post(
    { messages, max_tokens: 200 },
    { 'x-drover-priority': 'batch', 'x-drover-deadline-ms': '400' },
  );
  const error = failure.parse(await refused.json()).error;
  const tookMs = performance.now() - askedMs;
  const id = refused.headers.get('x-request-id') ?? '';
  leave.abort();
  await Promise.allSettled(busy.map((answer) => answer.text()));
  assert.deepEqual([refused.status, error.code], [429, 'queue_full']);
  const seconds = Number(refused.headers.get('retry-after'));
  assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, `retry-after: ${seconds}`);
  assert.ok(tookMs < 350, `it took ${tookMs} ms: not before the deadline`);
  const end = await stored(streams.events.name, subjects.event('*', localTenant, id), event);
  assert.ok(end.state === 'ended' && end.outcome.status === 'failed');
  assert.equal(Math.max(1, Math.ceil((end.outcome.retryAfterMs ?? 0) / 1_000)), seconds);
  assert.equal((await decided(id)).retryAfterMs, end.outcome.retryAfterMs);
  assert.equal((await settled(id)).usd, 0);
});
const failure = z.object({ error: z.object({ code: z.string() }) });

test('what the chat template adds to a prompt is learned from the answers', async () => {
  const asked: string[] = [];
  for (let count = 0; count < 5; count++) {
    const answer = await post({ max_tokens: 2, messages: [{ role: 'user', content: `Say ${count}.` }] });
    asked.push(answer.headers.get('x-request-id') ?? '');
    await answer.text();
  }
  const last = asked.at(-1) ?? '';
  const [decision, record] = [await decided(last), await settled(last)];
  assert.equal(decision.inputs?.ask.estimate.promptBasis, 'learned');
  const { promptTokens: guessed } = decision.estimate;
  assert.ok(Math.abs(guessed - record.promptTokens) <= 4, `${guessed} guessed, ${record.promptTokens} real`);
});

test('a producer that names an API key is refused, and nothing is charged to the key', async () => {
  await using producer = await connectAs(system, `producer-${localTenant}`);
  const id = `req_${nuid.next()}`;
  const request = {
    v: 1,
    id,
    tenant: localTenant,
    priority: 'standard',
    submittedAtMs: Date.now(),
    deadlineAtMs: Date.now() + 30_000,
    key: 'local',
    endpoint: 'chat',
    body: { model: localModel, messages: [{ role: 'user', content: 'Hi' }], max_tokens: 4 },
  } satisfies Record<keyof Omit<Request, 'maxUsdPer1k' | 'regions' | 'bodyHash'>, unknown>;
  await assert.rejects(
    producer.js.publish(subjects.keyedRequest('standard', localTenant, id), JSON.stringify(request)),
    /permissions violation/i,
  );
  await producer.js.publish(subjects.request('standard', localTenant, id), JSON.stringify(request));
  const end = await stored(streams.events.name, subjects.event('*', localTenant, id), event);
  assert.ok(end.state === 'ended' && end.outcome.status === 'failed');
  assert.equal(end.outcome.code, 'invalid_request');
  assert.match(end.outcome.message, /only an ingress may name the API key/);
  assert.deepEqual([(await settled(id)).key, (await settled(id)).usd], [undefined, 0]);
});
