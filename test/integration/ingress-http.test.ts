import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { serveMetrics } from '@drover/runtime';
import { streams } from '@drover/schemas';
import { z } from 'zod';
import { sign } from '../../apps/ingress/src/core/hmac.ts';
import { sayHello } from '../support/fake-fleet.ts';
import {
  apiKey,
  type Edge,
  errorOf,
  eventually,
  hmacSecret,
  keysFileOf,
  otherApiKey,
  startEdge,
} from '../support/ingress.ts';

let edge: Edge;
before(async () => {
  edge = await startEdge();
});
after(() => edge[Symbol.asyncDispose]());
beforeEach(() => {
  edge.fleet.script = sayHello;
});

const chat = '/v1/chat/completions';
const hello = JSON.stringify({ model: 'smol', messages: [{ role: 'user', content: 'Hello' }] });
const json = { 'content-type': 'application/json' };
const known = { authorization: `Bearer ${apiKey}` };

const post = (path: string, body: string, headers: Record<string, string> = {}) =>
  fetch(edge.url + path, { method: 'POST', body, headers: { ...json, ...known, ...headers } });
const get = (path: string, headers: Record<string, string> = known) => fetch(edge.url + path, { headers });

test('every refusal has its status and names code and field', async () => {
  const message = (role: string) => `{"model":"smol","messages":[{"role":"${role}","content":"x"}]}`;
  const cases: [() => Promise<Response>, number, string, string | null][] = [
    [() => post(chat, '{"model"'), 400, 'invalid_json', null],
    [() => post(chat, message('wizard')), 400, 'invalid_request', 'messages.0.role'],
    [
      () => post(chat, hello, { 'x-drover-deadline-ms': 'soon' }),
      400,
      'invalid_request',
      'x-drover-deadline-ms',
    ],
    [() => post(chat, hello, { authorization: 'Bearer wrong' }), 401, 'invalid_api_key', null],
    [() => get('/v1/models', {}), 401, 'invalid_api_key', null],
    [() => post(chat, hello.replace('smol', 'gpt-9')), 404, 'model_not_found', 'model'],
    [() => post('/v1/embeddings', '{"model":"smol","input":"x"}'), 404, 'endpoint_not_served', 'model'],
    [() => post('/v1/images', hello), 404, 'not_found', null],
    [() => get('/v1/requests/nobody-knows'), 404, 'not_found', null],
    [() => get('/v1/requests/not..a..token'), 404, 'not_found', null],
    [() => get('/v1/decisions/nobody-knows'), 404, 'not_found', null],
    [() => get('/%zz'), 404, 'not_found', null],
    [
      () => post(chat, JSON.stringify({ model: 'smol', pad: 'x'.repeat(600_000) })),
      413,
      'request_too_large',
      null,
    ],
    [() => post(chat, hello, { 'content-type': 'text/plain' }), 415, 'unsupported_media_type', null],
    [() => post(chat, hello, { 'x-pad': 'x'.repeat(20_000) }), 431, 'headers_too_large', null],
  ];
  for (const [ask, status, code, param] of cases) {
    const response = await ask();
    const error = await errorOf(response);
    assert.deepEqual([response.status, error.code, error.param], [status, code, param], error.message);
  }
});

test('what is not HTTP gets an answer too', async () => {
  const socket = connect(Number(new URL(edge.url).port), '127.0.0.1');
  socket.end('HELLO\r\n\r\n');
  let answer = '';
  for await (const data of socket) answer += data;
  assert.match(answer, /^HTTP\/1\.1 400 [\s\S]*"code":"invalid_request"/);
});

test('an outcome without an answer has the status of its code', async () => {
  edge.fleet.script = (job) =>
    job.end({ status: 'failed', code: 'no_cluster_within_ceiling', message: 'Too dear.', units: 0 });
  for (const stream of [true, false]) {
    const response = await post(chat, JSON.stringify({ ...JSON.parse(hello), stream }));
    assert.equal(response.status, 503);
    assert.equal((await errorOf(response)).code, 'no_cluster_within_ceiling');
  }
});

test('headers of the client become fields of the message', async () => {
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const response = await post(chat, hello, {
    traceparent,
    'x-drover-priority': 'batch',
    'x-drover-deadline-ms': '30000',
    'x-drover-max-usd-per-1k': '0.5',
  });
  assert.equal(response.headers.get('traceparent'), traceparent);
  const taken = edge.fleet.taken.at(-1);
  assert.equal(taken?.id, response.headers.get('x-request-id'));
  assert.deepEqual([taken?.priority, taken?.maxUsdPer1k], ['batch', 0.5]);
  assert.equal((taken?.deadlineAtMs ?? 0) - (taken?.submittedAtMs ?? 0), 30_000);
});

test('a request that nobody ends is answered when its deadline has passed, and stays ended', async () => {
  edge.fleet.script = async (job) => job.open();
  const response = await post(chat, hello, { 'x-drover-deadline-ms': '50' });
  assert.equal(response.status, 504);
  assert.equal((await errorOf(response)).code, 'deadline_exceeded');
  const state = await get(`/v1/requests/${response.headers.get('x-request-id')}`);
  assert.equal(z.looseObject({ status: z.string() }).parse(await state.json()).status, 'failed');
});

const signedGet = (path: string, nonce: string, more: { ts?: number; secret?: string } = {}) => {
  const ts = more.ts ?? Math.floor(Date.now() / 1_000);
  const request = { method: 'GET', path, body: new Uint8Array() };
  const signature = sign(more.secret ?? hmacSecret, ts, nonce, request).toString('hex');
  return { authorization: `DroverHMAC key=h1, ts=${ts}, nonce=${nonce}, signature=${signature}` };
};

test('a signed request is served once', async () => {
  const headers = signedGet('/v1/models', 'nonce-000001');
  assert.equal((await get('/v1/models', headers)).status, 200);
  const replayed = await get('/v1/models', headers);
  assert.equal((await errorOf(replayed)).code, 'invalid_signature');
  assert.ok(replayed.headers.has('www-authenticate'));
});

test('a signature that one ingress has served is refused by the next', async () => {
  const headers = signedGet('/v1/models', 'nonce-000007');
  const peer = await edge.startPeer();
  assert.equal((await get('/v1/models', headers)).status, 200);
  const replayed = await fetch(`${peer}/v1/models`, { headers });
  assert.equal((await errorOf(replayed)).code, 'invalid_signature');
});

test('a signature that is old, of another path or by another secret is refused', async () => {
  for (const [path, headers] of [
    ['/v1/models', signedGet('/v1/models', 'nonce-000002', { ts: Math.floor(Date.now() / 1_000) - 400 })],
    ['/v1/models?x', signedGet('/v1/models', 'nonce-000003')],
    ['/v1/models', signedGet('/v1/models', 'nonce-000004', { secret: 'some other secret' })],
  ] as const) {
    assert.equal((await get(path, headers)).status, 401);
  }
});

test('the body of a signed request is covered by its signature', async () => {
  const ts = Math.floor(Date.now() / 1_000);
  const headersFor = (body: string, nonce: string) => {
    const signature = sign(hmacSecret, ts, nonce, { method: 'POST', path: chat, body: Buffer.from(body) });
    return {
      authorization: `DroverHMAC key=h1, ts=${ts}, nonce=${nonce}, signature=${signature.toString('hex')}`,
    };
  };
  assert.equal((await post(chat, hello, headersFor(hello, 'nonce-000005'))).status, 200);
  assert.equal((await post(chat, `${hello} `, headersFor(hello, 'nonce-000006'))).status, 401);
});

test('a key that is added to the file works without a restart, and one that is removed does not', async () => {
  const status = async (key: string) => (await get('/v1/models', { authorization: `Bearer ${key}` })).status;
  writeFileSync(edge.keysFile, keysFileOf({ 'sk-new': 't3', [apiKey]: 't1' }));
  await eventually(async () => (await status('sk-new')) === 200);
  assert.equal(await status(otherApiKey), 401);
  writeFileSync(edge.keysFile, keysFileOf({ [apiKey]: 't1', [otherApiKey]: 't2' }));
  await eventually(async () => (await status(otherApiKey)) === 200);
});

const readinessOf = async (response: Response) =>
  z.looseObject({ clusters: z.array(z.string()), missing: z.array(z.string()) }).parse(await response.json());

test('ready means that a cluster could serve, and the answer names what is missing', async () => {
  assert.equal((await get('/livez', {})).status, 200);
  const before = await get('/readyz', {});
  assert.equal(before.status, 503);
  assert.deepEqual((await readinessOf(before)).missing, ['a cluster that is ready']);
  edge.fleet.report('booting');
  edge.fleet.report('ready');
  await eventually(async () => (await get('/readyz', {})).status === 200);
  assert.deepEqual((await readinessOf(await get('/readyz', {}))).clusters, ['aws-us-east-1']);
  edge.fleet.report('draining');
  await eventually(async () => (await get('/readyz', {})).status === 503);
});

test('the status on the port of metrics is told from memory, and asks nobody', async () => {
  const server = await serveMetrics(edge.registry, {
    host: '127.0.0.1',
    port: 0,
    ready: () => edge.server.ready(),
    status: () => edge.server.status(),
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const status = async () => {
    const response = await fetch(`http://127.0.0.1:${address.port}/status`);
    return z.looseObject({ status: z.string(), totals: z.unknown() }).parse(await response.json());
  };
  try {
    edge.fleet.report('ready');
    await eventually(async () => (await status()).status === 'ready');
    const sent = edge.nats.nc.stats().outMsgs;
    const { totals } = await status();
    assert.deepEqual(totals, { clusters: 1, readyClusters: 1, slots: 1, busy: 0 });
    assert.equal(edge.nats.nc.stats().outMsgs, sent);
    assert.equal((await fetch(`${edge.url}/status`)).status, 404, 'it is not for clients');
  } finally {
    server.close();
  }
});

test('a full queue refuses at once, with a time to come back, and takes requests again when there is room', async () => {
  const { name } = streams.requests;
  await edge.nats.jsm.streams.update(name, { max_bytes: 1 });
  const refused = await post(chat, hello);
  assert.equal(refused.status, 429);
  assert.equal((await errorOf(refused)).code, 'queue_full');
  assert.ok(Number(refused.headers.get('retry-after')) > 0);
  await edge.nats.jsm.streams.update(name, { max_bytes: -1 });
  assert.equal((await post(chat, hello)).status, 200);
});

test('requests are counted by endpoint, outcome and code', async () => {
  await post(chat, hello);
  const text = await edge.registry.metrics();
  assert.match(
    text,
    /drover_ingress_requests_total\{endpoint="chat",outcome="done",code="ok",priority="standard"\} \d/,
  );
  assert.match(
    text,
    /drover_ingress_requests_total\{endpoint="chat",outcome="rejected",code="invalid_api_key",priority="none"\} 1/,
  );
  assert.match(text, /drover_ingress_tokens_total\{kind="completion"\} \d+/);
});
