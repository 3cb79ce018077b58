import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createLogger, type Nats, readSubject } from '@drover/runtime';
import {
  buckets,
  type LedgerRecord,
  ledgerRecord,
  parseMessage,
  reservations,
  settlerConsumer,
  streams,
  subjects,
} from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { nanos } from 'nats';
import { Registry } from 'prom-client';
import { readConfig } from '../../apps/ingress/src/config.ts';
import { buildServer } from '../../apps/ingress/src/http/server.ts';
import { settleMessage, startSettler } from '../../apps/scheduler/src/nats/settler.ts';
import { usage } from '../support/fake-fleet.ts';
import { connectTo } from '../support/hub.ts';
import { type Edge, errorOf, eventually, startEdge } from '../support/ingress.ts';

const maxUsdPer1k = 0.001;
/** One request reserves more than half of it. */
const budget = { usd: 0.001, period: 'day' as const };
const secret = 'sk-crash';
const silent = createLogger('test', 'silent');

let edge: Edge;
let keysFile: string;
const folder = mkdtempSync(join(tmpdir(), 'drover-crashes-'));

before(async () => {
  keysFile = join(folder, 'keys.json');
  const key = {
    id: 'crash',
    tenant: 't1',
    sha256: createHash('sha256').update(secret).digest('hex'),
    budget,
    maxUsdPer1k,
  };
  writeFileSync(keysFile, JSON.stringify({ v: 1, keys: [key] }));
  edge = await startEdge({ API_KEYS_FILE: keysFile });
  edge.fleet.script = async (job) => {
    job.open();
    job.tokens(0, ['Hello', ' there', '!']);
    const portion = {
      cluster: 'aws-us-east-1',
      attempt: 1,
      usdPer1k: maxUsdPer1k,
      usdPer1kPrompt: maxUsdPer1k,
    };
    await job.end({ status: 'done', finish: 'stop', units: 3, usage }, [{ ...portion, ...usage }]);
  };
});
after(async () => {
  await edge[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const ask = (url: string) =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'smol',
      max_tokens: 32,
      messages: [{ role: 'user', content: 'Say something.' }],
    }),
  });

const bucket = () => new Kvm(edge.nats.js).open(buckets.budgets.name);

async function reserved() {
  const entry = (await (await bucket()).get('crash')) ?? assert.fail('nothing was reserved');
  const parsed = parseMessage(reservations, entry.value);
  return parsed.ok ? parsed.value : assert.fail(parsed.problem);
}

async function ledger(): Promise<LedgerRecord[]> {
  const messages = await readSubject(edge.nats, streams.ledger.name, subjects.ledger('*', '*'));
  return messages.map(({ data }) => ledgerRecord.parse(JSON.parse(new TextDecoder().decode(data))));
}

/** An ingress whose requests never reach JetStream: as one that is killed when it has just reserved. */
async function startDoomed(): Promise<{ url: string; die(): Promise<void> }> {
  const nats = await connectTo(edge.hub.url, 'doomed');
  const js: Nats['js'] = Object.create(nats.js);
  js.publish = (subject, ...rest) =>
    subject.startsWith('llm.req.') ? new Promise(() => {}) : nats.js.publish(subject, ...rest);
  const config = readConfig({
    NATS_URL: edge.hub.url,
    HTTP_PORT: '0',
    API_KEYS_FILE: keysFile,
    STOP_GRACE_MS: '1',
  });
  const doomed: Nats = Object.create(nats, { js: { value: js } });
  const server = buildServer({ nats: doomed, config, log: silent, registry: new Registry() });
  return {
    url: await server.listen(),
    die: async () => {
      await server.stop();
      await nats[Symbol.asyncDispose]();
    },
  };
}

test('an ingress that dies between reservation and request keeps its money for a while, costs nothing, and blocks nobody for good', async () => {
  const doomed = await startDoomed();
  const lost = ask(doomed.url).catch(() => undefined);
  await eventually(async () => (await (await bucket()).get('crash')) !== null);
  await doomed.die();
  await lost;
  const [id, ...others] = Object.keys((await reserved()).open);
  assert.ok(id !== undefined && others.length === 0);
  // Nobody can know yet that the request was never stored.
  const refused = await ask(edge.url);
  assert.equal((await errorOf(refused)).code, 'budget_exceeded');
  // As if its time had passed.
  const { ledgerSeq, open } = await reserved();
  const past = { [id]: { usd: open[id as keyof typeof open]?.usd ?? 0, expiresAtMs: Date.now() - 1 } };
  await (await bucket()).put('crash', JSON.stringify({ v: 1, ledgerSeq, open: past }));
  // Its sibling has not heard of the change: it looks again before it refuses.
  const answer = await ask(edge.url);
  assert.equal(answer.status, 200, await answer.text());
  assert.equal(id in (await reserved()).open, false);
  assert.deepEqual(
    (await ledger()).filter(({ request }) => request === id),
    [],
  );
});

test('a scheduler that dies between the record and its acknowledgement leaves one record, and the next one only acknowledges', async () => {
  const { stream, name } = settlerConsumer;
  await edge.nats.jsm.consumers.update(stream, name, { ack_wait: nanos(300) });
  const consumer = await edge.nats.js.consumers.get(stream, name);
  const written: string[] = [];
  const settlement = {
    onSettled: ({ request }: LedgerRecord) => void written.push(request),
    onTrouble: (error: unknown) => assert.fail(String(error)),
  };
  // The first settler writes every record there is, and is gone before it can say so.
  for await (const message of await consumer.fetch({ max_messages: 100, expires: 1_000 })) {
    const unsaid: JsMsg = Object.create(message, { ack: { value: () => {} } });
    await settleMessage(edge.nats.js, unsaid, settlement);
  }
  const before = await ledger();
  assert.deepEqual([...written].sort(), before.map(({ request }) => request).sort());
  assert.ok(written.length > 0);
  const second = await startSettler(edge.nats, settlement, silent);
  await eventually(async () => {
    const { num_pending, num_ack_pending } = await edge.nats.jsm.consumers.info(stream, name);
    return num_pending === 0 && num_ack_pending === 0;
  }, 10_000);
  await second.stop();
  assert.equal(written.length, before.length, 'a record was written twice');
  assert.deepEqual(await ledger(), before);
  // 5 + 3 tokens at the ceiling, and nothing reserved but for the next request.
  assert.deepEqual(
    before.map(({ key, usd }) => [key, usd]),
    [['crash', (8 * maxUsdPer1k) / 1_000]],
  );
  const next = await ask(edge.url);
  assert.equal(next.status, 200);
  assert.deepEqual(Object.keys((await reserved()).open), [next.headers.get('x-request-id')]);
});
