import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agentId, type Event, type OpenReply, requestId, type Unit } from '@drover/schemas';
import { type Stored, snapshot } from './snapshot.ts';

const id = requestId.parse('req_chat_x');
const open: OpenReply = {
  v: 1,
  f: 1,
  k: 'open',
  i: 0,
  mode: 'tokens',
  attempt: 1,
  cluster: 'aws',
  model: 'smol',
  modelHash: 'h',
  queueMs: 0,
  backendMs: 0,
};
const running: Event = { v: 1, state: 'running', agent: agentId.parse('a1'), attempt: 1, atMs: 0 };
const units: Unit[] = [
  { k: 'token', id: 1, t: 'Hi' },
  { k: 'token', id: 2, t: '!' },
];
const ended = (outcome: Extract<Event, { state: 'ended' }>['outcome']): Event => ({
  v: 1,
  state: 'ended',
  attempt: 1,
  atMs: 0,
  outcome,
});
const nothing: Stored = { queued: false, last: null, open: undefined, units: [] };
const look = (stored: Partial<Stored>) =>
  snapshot(id, { ...nothing, ...stored }, ({ model }) => ({
    endpoint: 'chat',
    id: 'chatcmpl-x',
    created: 0,
    model,
  }));

test('what nobody knows has no snapshot', () => assert.equal(look({}), undefined));

test('a request that waits is queued', () => {
  assert.equal(look({ queued: true })?.status, 'queued');
  assert.equal(look({ queued: true })?.answer, null);
});

test('a running request shows its answer so far, without a finish reason', () => {
  const state = look({ last: running, open, units });
  assert.deepEqual([state?.status, state?.units, state?.cluster], ['running', 2, 'aws']);
  assert.deepEqual(state?.answer?.choices, [
    { index: 0, message: { role: 'assistant', content: 'Hi!' }, logprobs: null, finish_reason: null },
  ]);
});

test('part of a finished answer does not pass for all of it', () => {
  const done = ended({ status: 'done', finish: 'stop', units: 3 });
  assert.equal(look({ last: done, open, units })?.answer, null);
  const whole = look({ last: ended({ status: 'done', finish: 'stop', units: 2 }), open, units });
  assert.equal(whole?.status, 'done');
  assert.notEqual(whole?.answer, null);
});

test('part of a body is not shown', () => {
  assert.equal(look({ last: running, open, units: [{ k: 'body', t: '{' }] })?.answer, null);
});

test('a failed request keeps what was said and tells why it stopped', () => {
  const last = ended({ status: 'failed', code: 'backend_failed', message: 'died', units: 2 });
  const state = look({ last, open, units });
  assert.deepEqual([state?.status, state?.error?.code], ['failed', 'backend_failed']);
  assert.notEqual(state?.answer, null);
});
