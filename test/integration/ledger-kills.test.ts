import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Nats, readSubject } from '@drover/runtime';
import {
  buckets,
  type Event,
  event,
  type LedgerRecord,
  ledgerRecord,
  type Portion,
  parseMessage,
  requestIdOf,
  reservations,
  streams,
  subjects,
} from '@drover/schemas';
import { Kvm } from '@nats-io/kv';
import { z } from 'zod';
import { localModel, localTenant } from '../../infra/local/src/clusters.ts';
import { connectAs } from '../support/connect-as.ts';
import { eventually } from '../support/ingress.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

const tokensPerAnswer = 24;
const budgetUsd = 1;
const maxUsdPer1k = 0.01;
const readersAtOnce = 16;

let system: TestSystem;
let nats: Nats & AsyncDisposable;

before(async () => {
  system = await startTestSystem({
    backend: 'fake',
    fakeFlags: () => ['--token-ms', '12'],
  });
  nats = await connectAs(system, 'admin');
  const sha256 = createHash('sha256').update(system.apiKey).digest('hex');
  const key = {
    id: 'local',
    tenant: localTenant,
    sha256,
    budget: { usd: budgetUsd, period: 'day' },
    maxUsdPer1k,
  };
  writeFileSync(join(system.stateDir, 'api-keys.json'), JSON.stringify({ v: 1, keys: [key] }));
});
after(async () => {
  await nats[Symbol.asyncDispose]();
  await system[Symbol.asyncDispose]();
});

/** One streamed request. Resolves to its id when it was accepted, as far as its reader knows. */
async function ask(number: number): Promise<string | undefined> {
  const leave = new AbortController();
  try {
    const response = await fetch(`${system.url}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${system.apiKey}`,
        'content-type': 'application/json',
        'x-drover-deadline-ms': '60000',
      },
      body: JSON.stringify({
        model: localModel,
        stream: number % 3 !== 0,
        max_tokens: tokensPerAnswer,
        messages: [{ role: 'user', content: `Question ${number}` }],
        // Some answers are of another kind, which cannot be continued.
        ...(number % 7 === 0 ? { logprobs: true } : {}),
      }),
      signal: leave.signal,
    });
    const id = response.headers.get('x-request-id') ?? undefined;
    if (!response.ok) return undefined;
    if (number % 5 === 0) {
      await response.body?.getReader().read();
      leave.abort();
    }
    await response.text().catch(() => {});
    return id;
  } catch {
    // The ingress was killed.
    await sleep(50);
    return undefined;
  }
}

async function readEnded(): Promise<Map<string, Extract<Event, { state: 'ended' }>>> {
  const ended = new Map<string, Extract<Event, { state: 'ended' }>>();
  for (const { subject, data } of await readSubject(
    nats,
    streams.events.name,
    subjects.event('*', '*', '*'),
  )) {
    const parsed = parseMessage(event, data);
    if (!parsed.ok || parsed.value.state !== 'ended') continue;
    assert.ok(!ended.has(requestIdOf(subject)), 'a request has ended twice');
    ended.set(requestIdOf(subject), parsed.value);
  }
  return ended;
}

async function readLedger(): Promise<LedgerRecord[]> {
  const messages = await readSubject(nats, streams.ledger.name, subjects.ledger('*', '*'));
  return messages.map(({ data }) => ledgerRecord.parse(JSON.parse(new TextDecoder().decode(data))));
}

/** The rule of the ledger, written down again: what a token costs, and that reading is never dearer than writing. */
function priceOf({ promptTokens, completionTokens, usdPer1k, usdPer1kPrompt }: Portion): number {
  assert.ok(usdPer1k !== undefined && usdPer1kPrompt !== undefined, 'a price is missing');
  return (promptTokens * Math.min(usdPer1k, usdPer1kPrompt) + completionTokens * usdPer1k) / 1_000;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
const isEmpty = async (stream: string) => (await nats.jsm.streams.info(stream)).state.messages === 0;

test('whatever is killed under load, the ledger has every request once, and adds up to the tokens that were metered', async () => {
  const accepted: string[] = [];
  let stopped = false;
  let number = 0;
  const readers = Array.from({ length: readersAtOnce }, async () => {
    while (!stopped) {
      const id = await ask(++number);
      if (id !== undefined) accepted.push(id);
    }
  });
  const victims = [
    'agent-aws-us-east-1',
    'scheduler',
    'llama-aws-us-east-1',
    'ingress',
    'agent-gcp-us-central1',
    'scheduler',
    'llama-gcp-us-central1',
    'agent-azure-eastus',
    'ingress',
    'nats-server',
  ];
  for (const victim of victims) {
    await sleep(800);
    await system.kill(victim);
    await sleep(200);
    await system.start(victim);
  }
  await sleep(800);
  stopped = true;
  await Promise.all(readers);
  await eventually(async () => (await isEmpty('LLM_REQUESTS')) && (await isEmpty('LLM_JOBS')), 40_000);

  const ended = await readEnded();
  await eventually(async () => (await readLedger()).length >= ended.size, 40_000);
  const ledger = await readLedger();

  assert.ok(accepted.length > 30, `only ${accepted.length} requests`);
  assert.deepEqual(
    accepted.filter((id) => !ended.has(id)),
    [],
    'accepted, and no outcome',
  );
  assert.equal(new Set(ledger.map(({ request }) => request)).size, ledger.length, 'settled twice');
  assert.deepEqual(ledger.map(({ request }) => request).sort(), [...ended.keys()].sort());
  const metered = [...ended.values()].map(({ metered: portions }) => portions ?? assert.fail('not metered'));
  const expected = sum(metered.flat().map(priceOf));
  const settled = sum(ledger.map(({ usd }) => usd ?? assert.fail('not priced')));
  assert.ok(Math.abs(settled - expected) < 1e-12, `${settled} settled, ${expected} metered`);
  assert.equal(
    sum(ledger.map(({ completionTokens }) => completionTokens)),
    sum(metered.flat().map(({ completionTokens }) => completionTokens)),
  );
  for (const { request, status, completionTokens } of ledger)
    if (status === 'done') assert.equal(completionTokens, tokensPerAnswer, request);
  assert.ok(settled > 0 && settled <= budgetUsd);
  assert.ok(
    ledger.some(({ portions }) => portions.length > 1),
    'no request was continued by another attempt: the kills missed',
  );
  assert.ok(ledger.some(({ status }) => status === 'cancelled'));
  assert.deepEqual(
    ledger.filter(({ uncounted, unpriced }) => uncounted || unpriced),
    [],
    'nobody knows what these have used',
  );

  let seen: unknown;
  await eventually(async () => {
    const response = await fetch(`${system.url}/v1/costs?by=cluster`, {
      headers: { authorization: `Bearer ${system.apiKey}` },
    });
    if (!response.ok) return false;
    const { total } = costs.parse(await response.json());
    seen = total;
    return total.requests === ledger.length && Math.abs(total.usd - settled) < 1e-12;
  }, 40_000).catch((error) =>
    assert.fail(`${error}: ${JSON.stringify(seen)}, ${ledger.length} and ${settled}`),
  );

  // Settled reservations give way when the next one is made.
  const last = (await ask(number + 1)) ?? assert.fail('refused');
  const open = Object.keys(await readReservations());
  assert.deepEqual(
    open.filter((id) => id !== last && ended.has(id)),
    [],
    'settled, and still reserved',
  );
  // What is left was reserved by an ingress that died before the request was accepted: nobody was ever told that it was.
  assert.deepEqual(
    open.filter((id) => id !== last && accepted.includes(id)),
    [],
  );
});

async function readReservations() {
  const entry = await (await new Kvm(nats.js).open(buckets.budgets.name)).get('local');
  const parsed = parseMessage(reservations, entry?.value ?? assert.fail('nothing was reserved'));
  return parsed.ok ? parsed.value.open : assert.fail(parsed.problem);
}
const costs = z.object({ total: z.object({ usd: z.number(), requests: z.number() }) });
