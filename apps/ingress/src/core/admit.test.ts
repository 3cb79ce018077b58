import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Catalogue, catalogue, DroverError, request, tenantId } from '@drover/schemas';
import fc from 'fast-check';
import { type Arrival, admit } from './admit.ts';
import type { ApiKey } from './api-keys.ts';
import { modelList } from './models.ts';

const models: Catalogue = catalogue.parse({
  v: 1,
  models: [
    { name: 'smol', aliases: ['gpt-4o'], endpoints: ['chat', 'completion'], contextTokens: 4096 },
    { name: 'embedder', endpoints: ['embedding'], contextTokens: 512 },
  ],
});
const hello = { model: 'smol', messages: [{ role: 'user', content: 'Hello' }] };

const arrival = (body: unknown, more: Partial<Arrival> = {}): Arrival => ({
  endpoint: 'chat',
  tenant: tenantId.parse('t1'),
  headers: {},
  body: typeof body === 'string' ? Buffer.from(body) : Buffer.from(JSON.stringify(body)),
  catalogue: models,
  token: 'abc',
  nowMs: 1_000_000,
  deadline: { defaultMs: 5_000, maxMs: 60_000 },
  ...more,
});

const refusal = (given: Arrival): DroverError => {
  try {
    admit(given);
  } catch (error) {
    if (error instanceof DroverError) return error;
    throw error;
  }
  throw new Error('was admitted');
};

test('an admitted request is a valid message of the contract', () => {
  const {
    request: admitted,
    stream,
    includeUsage,
  } = admit(arrival({ ...hello, stream: true, stream_options: { include_usage: true } }));
  assert.deepEqual(request.parse(admitted).id, 'req_chat_abc');
  assert.equal(admitted.deadlineAtMs, 1_005_000);
  assert.equal(admitted.priority, 'standard');
  assert.equal(admitted.bodyHash, undefined);
  assert.deepEqual([stream, includeUsage], [true, true]);
});

test('an alias becomes the name of the catalogue, and every other field passes as it is', () => {
  const extra = {
    n: 2,
    stop: ['\n'],
    seed: 7,
    temperature: 0.5,
    response_format: { type: 'json_object', schema: { a: 1 } },
    tools: [{ type: 'function', function: { name: 'f', parameters: {} } }],
    mirostat: 2,
    nested: { deep: [1, { x: null }] },
  };
  const sent = { ...hello, ...extra, model: 'gpt-4o' };
  assert.deepEqual(admit(arrival(sent)).request.body, { ...sent, model: 'smol' });
});

test('fields that nobody defined reach the backend unharmed', () => {
  const field = fc.string({ minLength: 1 }).map((name) => `x-${name}`);
  fc.assert(
    fc.property(fc.dictionary(field, fc.jsonValue()), (extra) => {
      const sent = JSON.parse(JSON.stringify({ ...hello, ...extra }));
      assert.deepEqual(admit(arrival(sent)).request.body, sent);
    }),
  );
});

test('a body that is no JSON is refused with invalid_json', () => {
  for (const body of ['', '{', '{"model":', 'nul']) assert.equal(refusal(arrival(body)).code, 'invalid_json');
  assert.equal(refusal(arrival('', { body: Buffer.from([0x22, 0xff, 0x22]) })).code, 'invalid_json');
});

test('a wrong type is refused with the name of the field', () => {
  const cases: [unknown, string | null][] = [
    [[], null],
    [{ ...hello, messages: [{ role: 'wizard', content: '' }] }, 'messages.0.role'],
    [{ ...hello, messages: [{ role: 'user', content: 3 }] }, 'messages.0.content'],
    [{ ...hello, messages: 'hi' }, 'messages'],
    [{ messages: hello.messages }, 'model'],
    [{ ...hello, temperature: 'hot' }, 'temperature'],
    [{ ...hello, stream: 'yes' }, 'stream'],
    [{ ...hello, n: 0 }, 'n'],
  ];
  for (const [body, param] of cases) {
    const { code, param: named } = refusal(arrival(body));
    assert.deepEqual([code, named], ['invalid_request', param]);
  }
});

test('an unknown model, and one that does not serve the endpoint, are told apart', () => {
  assert.equal(refusal(arrival({ ...hello, model: 'gpt-9' })).code, 'model_not_found');
  assert.equal(refusal(arrival({ ...hello, model: 'embedder' })).code, 'endpoint_not_served');
});

test('without a catalogue nothing is refused for good', () => {
  assert.equal(refusal(arrival(hello, { catalogue: undefined })).code, 'unavailable');
});

test('deadline, priority and ceiling come from the headers', () => {
  const headers = {
    'x-drover-deadline-ms': '250',
    'x-drover-priority': 'batch',
    'x-drover-max-usd-per-1k': '0.002',
  };
  const { request: admitted } = admit(arrival(hello, { headers }));
  assert.deepEqual(
    [admitted.deadlineAtMs, admitted.priority, admitted.maxUsdPer1k],
    [1_000_250, 'batch', 0.002],
  );
});

test('a header with a bad value is refused by its name', () => {
  const bad: Record<string, string[]> = {
    'x-drover-deadline-ms': ['0', '-1', '1.5', 'soon', '60001', ''],
    'x-drover-priority': ['urgent', ''],
    'x-drover-max-usd-per-1k': ['0', '-1', 'NaN', 'Infinity', 'cheap', ''],
    'x-drover-regions': ['', ',', 'eu west', 'eu-*', '-', 'x'.repeat(64), Array(17).fill('eu-').join()],
    'idempotency-key': ['', 'x'.repeat(256)],
  };
  for (const [name, values] of Object.entries(bad)) {
    for (const value of values) {
      const { code, param } = refusal(arrival(hello, { headers: { [name]: value } }));
      assert.deepEqual([code, param], ['invalid_request', name], `${name}: ${value}`);
    }
  }
});

test('an idempotency key names the same request for the same tenant and endpoint only', () => {
  const idOf = (key: string, more: Partial<Arrival> = {}) =>
    admit(arrival(hello, { headers: { 'idempotency-key': key }, token: 'other', ...more })).request.id;
  assert.equal(idOf('k'), idOf('k', { token: 'yet-another', nowMs: 5 }));
  assert.notEqual(idOf('k'), idOf('k2'));
  assert.notEqual(idOf('k'), idOf('k', { tenant: tenantId.parse('t2') }));
});

test('only a request with an idempotency key carries the hash of its body', () => {
  const headers = { 'idempotency-key': 'k' };
  const first = admit(arrival(hello, { headers }));
  assert.ok(first.keyed);
  assert.match(first.request.bodyHash ?? '', /^[0-9a-f]{64}$/);
  const other = admit(arrival({ ...hello, seed: 1 }, { headers }));
  assert.notEqual(first.request.bodyHash, other.request.bodyHash);
});

test('any key makes an id that fits in a subject', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 255 }), (key) => {
      const { request: admitted } = admit(arrival(hello, { headers: { 'idempotency-key': key } }));
      assert.match(admitted.id, /^req_chat_[0-9a-f]{40}$/);
    }),
  );
});

const key = (more: Partial<ApiKey> = {}): ApiKey => ({
  id: 'k1',
  tenant: tenantId.parse('t1'),
  sha256: Buffer.alloc(32),
  ...more,
});

test('a request carries the id of its key, and the lower of both ceilings', () => {
  const ceilingOf = (asked: string | undefined, maxUsdPer1k: number | undefined) => {
    const headers = asked === undefined ? {} : { 'x-drover-max-usd-per-1k': asked };
    const apiKey = key(maxUsdPer1k === undefined ? {} : { maxUsdPer1k });
    return admit(arrival(hello, { headers, apiKey })).request.maxUsdPer1k;
  };
  assert.equal(admit(arrival(hello, { apiKey: key() })).request.key, 'k1');
  assert.equal(admit(arrival(hello)).request.key, undefined);
  assert.equal(ceilingOf(undefined, undefined), undefined);
  assert.equal(ceilingOf('0.5', undefined), 0.5);
  assert.equal(ceilingOf(undefined, 0.2), 0.2);
  assert.equal(ceilingOf('0.5', 0.2), 0.2);
  assert.equal(ceilingOf('0.1', 0.2), 0.1);
});

test('a request may only narrow the regions of its key', () => {
  const regionsOf = (asked: string | undefined, regions: string[] | undefined) => {
    const headers = asked === undefined ? {} : { 'x-drover-regions': asked };
    return admit(arrival(hello, { headers, apiKey: key(regions === undefined ? {} : { regions }) })).request
      .regions;
  };
  assert.equal(regionsOf(undefined, undefined), undefined);
  assert.deepEqual(regionsOf('eu-, westeurope', undefined), ['eu-', 'westeurope']);
  assert.deepEqual(regionsOf(undefined, ['eu-']), ['eu-']);
  assert.deepEqual(regionsOf('eu-west-1,us-east-1', ['eu-']), ['eu-west-1']);
  assert.deepEqual(regionsOf('eu-', ['eu-west-1', 'us-']), ['eu-west-1']);
  const headers = { 'x-drover-regions': 'us-,eu' };
  const refused = refusal(arrival(hello, { headers, apiKey: key({ regions: ['eu-'] }) }));
  assert.deepEqual([refused.code, refused.param], ['invalid_request', 'x-drover-regions']);
  assert.match(refused.message, /allows none of them, only eu-/);
});

test('only where there is a budget is a cost reserved and an answer limited', () => {
  const free = admit(arrival(hello, { apiKey: key({ maxUsdPer1k: 0.2 }) }));
  assert.equal(free.reserveUsd, undefined);
  assert.deepEqual(free.request.body, hello);
  const budget = { usd: 1, period: 'day' } as const;
  const kept = admit(arrival(hello, { apiKey: key({ maxUsdPer1k: 0.2, budget }) }));
  assert.deepEqual(kept.request.body, { ...hello, max_tokens: 4096 });
  assert.ok(kept.reserveUsd !== undefined && kept.reserveUsd > (4096 * 0.2) / 1_000);
  const headers = { 'x-drover-max-usd-per-1k': '0.1' };
  const cheaper = admit(arrival(hello, { headers, apiKey: key({ maxUsdPer1k: 0.2, budget }) }));
  assert.ok(Math.abs((cheaper.reserveUsd ?? 0) - kept.reserveUsd / 2) < 1e-12);
});

test('a variant is admitted by its own name for what all of its models serve, and is listed', () => {
  const offer = catalogue.parse({
    ...models,
    models: [...models.models, { name: 'large', endpoints: ['chat', 'completion'], contextTokens: 8192 }],
    variants: [{ name: 'trial', models: { smol: 1, large: 1 } }],
  });
  const trial = (endpoint: Arrival['endpoint'], body: unknown) =>
    arrival(body, { endpoint, catalogue: offer });
  assert.equal(admit(trial('chat', { ...hello, model: 'trial' })).request.body.model, 'trial');
  const refused = refusal(trial('embedding', { model: 'trial', input: 'x' }));
  assert.equal(refused.code, 'endpoint_not_served');
  assert.ok(modelList(offer, 0).some(({ id }) => id === 'trial'));
});
