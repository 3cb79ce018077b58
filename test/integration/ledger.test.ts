import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createLogger, lastMessage } from '@drover/runtime';
import {
  type LedgerRecord,
  ledgerRecord,
  parseMessage,
  type Reply,
  type Request,
  request as requestSchema,
  streams,
  subjects,
} from '@drover/schemas';
import { z } from 'zod';
import { commitOutcome } from '../../apps/scheduler/src/nats/outcomes.ts';
import { startSettler } from '../../apps/scheduler/src/nats/settler.ts';
import { apiKey, type Edge, errorOf, eventually, startEdge } from '../support/ingress.ts';

let edge: Edge;
let settlers: { stop(): Promise<void> }[];
const written: LedgerRecord[] = [];

before(async () => {
  edge = await startEdge({ DEADLINE_DEFAULT_MS: '5000' });
  const settlement = { onSettled: (record: LedgerRecord) => void written.push(record), onTrouble: () => {} };
  // Two schedulers share the work.
  settlers = await Promise.all(
    [1, 2].map(() => startSettler(edge.nats, settlement, createLogger('test', 'silent'))),
  );
});
after(async () => {
  for (const settler of settlers) await settler.stop();
  await edge[Symbol.asyncDispose]();
});

const ask = (headers: Record<string, string> = {}) =>
  fetch(`${edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'smol', messages: [{ role: 'user', content: 'Hi' }] }),
  });

/** The record of a request, once it is there. */
async function recordOf(id: string): Promise<LedgerRecord> {
  let record: LedgerRecord | undefined;
  await eventually(async () => {
    const last = await lastMessage(edge.nats, streams.ledger.name, subjects.ledger('t1', id));
    if (last === null) return false;
    const parsed = parseMessage(ledgerRecord, last.data);
    record = parsed.ok ? parsed.value : assert.fail(parsed.problem);
    return true;
  }, 10_000);
  return record ?? assert.fail();
}

test('what was said before the deadline is charged when the ingress itself has to end the request', async () => {
  let said = '';
  edge.fleet.script = async (job) => {
    said = job.request.id;
    job.open({ promptTokens: 11, usdPer1kPrompt: 0.0001 });
    job.tokens(0, ['one', ' two']);
  };
  const answer = await ask({ 'x-drover-deadline-ms': '300' });
  assert.equal((await errorOf(answer)).code, 'deadline_exceeded');
  const record = await recordOf(said);
  assert.deepEqual(
    [record.status, record.code, record.key, record.model, record.priority],
    ['failed', 'deadline_exceeded', 'k0', 'smol', 'standard'],
  );
  assert.deepEqual(
    record.portions.map(({ cluster, promptTokens, completionTokens }) => [
      cluster,
      promptTokens,
      completionTokens,
    ]),
    [['aws-us-east-1', 11, 2]],
  );
  assert.ok(Math.abs((record.usd ?? 0) - (11 * 0.0001 + 2 * 0.00042) / 1_000) < 1e-15);
});

const request: Request = requestSchema.parse({
  v: 1,
  id: 'moved',
  tenant: 't1',
  submittedAtMs: 0,
  deadlineAtMs: 1,
  endpoint: 'chat',
  body: { model: 'smol', messages: [{ role: 'user', content: 'Hi' }] },
});

test('what two dead clusters have said is charged to each when the scheduler has to end the request', async () => {
  const base = { v: 1, model: 'smol', modelHash: 'h', queueMs: 0, backendMs: 0, mode: 'tokens' } as const;
  const price = { usdPer1k: 0.001, usdPer1kPrompt: 0.0005 };
  const earlier = [{ cluster: 'aws', attempt: 1, promptTokens: 6, completionTokens: 2, ...price }];
  const says: [string, Reply][] = [
    ['aws', { ...base, ...price, k: 'open', f: 1, i: 0, attempt: 1, cluster: 'aws', promptTokens: 6 }],
    ['aws', { v: 1, k: 'tokens', f: 1, i: 0, ids: [1, 2], t: ['a', 'b'] }],
    [
      'gcp',
      { ...base, ...price, k: 'open', f: 2, i: 2, attempt: 2, cluster: 'gcp', promptTokens: 6, earlier },
    ],
    ['gcp', { v: 1, k: 'tokens', f: 2, i: 2, ids: [3], t: ['c'] }],
  ];
  for (const [cluster, reply] of says)
    await edge.nats.js.publish(subjects.reply(cluster, 't1', 'moved'), JSON.stringify(reply));
  const outcome = { status: 'cancelled', units: 0 } as const;
  assert.ok(
    await commitOutcome(edge.nats, { tenant: 't1', id: 'moved', attempt: 2, eventSeq: 0, outcome, request }),
  );
  const record = await recordOf('moved');
  assert.deepEqual(
    record.portions.map(({ cluster, attempt, promptTokens, completionTokens, usd }) => [
      cluster,
      attempt,
      promptTokens,
      completionTokens,
      usd,
    ]),
    [
      ['aws', 1, 6, 2, 0.000005],
      ['gcp', 2, 0, 1, 0.000001],
    ],
  );
  assert.equal(record.status, 'cancelled');
});

test('a request that never ran has a record that says it cost nothing', async () => {
  const never = requestSchema.parse({ ...request, id: 'never' });
  const outcome = { status: 'failed', code: 'model_not_found', message: 'no such model', units: 0 } as const;
  await commitOutcome(edge.nats, {
    tenant: 't1',
    id: 'never',
    attempt: 0,
    eventSeq: 0,
    outcome,
    request: never,
  });
  const record = await recordOf('never');
  assert.deepEqual([record.usd, record.portions, record.code], [0, [], 'model_not_found']);
});

test('a record is written once, whichever scheduler was first, and never again', async () => {
  const first = await lastMessage(edge.nats, streams.ledger.name, subjects.ledger('t1', 'never'));
  const event = await lastMessage(edge.nats, streams.events.name, subjects.event('*', 't1', 'never'));
  assert.ok(first && event);
  // As if the acknowledgement had been lost and the event came again.
  await edge.nats.js.publish(subjects.event('scheduler', 't1', 'never'), event.data);
  await eventually(async () => {
    const { num_pending, num_ack_pending } = await edge.nats.jsm.consumers.info('LLM_SETTLEMENT', 'settler');
    return num_pending === 0 && num_ack_pending === 0;
  });
  assert.equal(
    (await lastMessage(edge.nats, streams.ledger.name, subjects.ledger('t1', 'never')))?.seq,
    first.seq,
  );
  assert.equal(written.filter(({ request: id }) => id === 'never').length, 1);
});

test('after a crash of the server what ends is settled, and every ingress reads on', async () => {
  await edge.hub.restart();
  const after = requestSchema.parse({ ...request, id: 'after' });
  const outcome = { status: 'cancelled', units: 0 } as const;
  await commitOutcome(edge.nats, {
    tenant: 't1',
    id: 'after',
    attempt: 0,
    eventSeq: 0,
    outcome,
    request: after,
  });
  await eventually(async () => {
    const response = await fetch(`${edge.url}/v1/costs`, { headers: { authorization: `Bearer ${apiKey}` } });
    return costs.parse(await response.json()).total.requests === 4;
  }, 30_000);
});
const costs = z.object({ total: z.object({ requests: z.number() }) });
