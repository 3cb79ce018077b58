import assert from 'node:assert/strict';
import test from 'node:test';
import { agentId, type Event, type Outcome } from '@drover/schemas';
import { check, violationKinds } from './check.ts';
import type { ClientRecord, Evidence, StoredEvent } from './history.ts';

const agent = agentId.parse('agent-aws-1');
const done: Outcome = { status: 'done', finish: 'length', units: 3 };

const client = (change: Partial<ClientRecord> = {}): ClientRecord => ({
  id: 'r1',
  kind: 'http-stream',
  wish: 'complete',
  continuable: true,
  expected: ' a0 a1 a2',
  sentAtMs: 0,
  acceptedAtMs: 1,
  attachments: [{ atMs: 1, via: 'ingress-1', from: 0, closed: 'ended' }],
  heard: [0, 1, 2].map((at) => ({ atMs: 10 + at, at, t: ` a${at}` })),
  end: { status: 'done', atMs: 20 },
  ...change,
});

const running = (attempt = 1): Event => ({ v: 1, state: 'running', agent, attempt, atMs: 0 });
const released = (attempt = 1): Event => ({
  v: 1,
  state: 'released',
  agent,
  attempt,
  atMs: 0,
  reason: 'draining',
  message: '',
});
const ended = (outcome: Outcome = done, attempt = 1): Event => ({
  v: 1,
  state: 'ended',
  attempt,
  atMs: 0,
  outcome,
});
const log = (...events: readonly (readonly [string, Event])[]): StoredEvent[] =>
  events.map(([writer, event], index) => ({ id: 'r1', seq: index + 1, writer, event }));
const usual = log(['aws', running()], ['aws', ended()]);

const evidence = (change: Partial<Evidence> = {}): Evidence => ({
  requests: 0,
  jobs: [],
  events: usual,
  deadLetters: 0,
  ...change,
});
const kinds = (one: ClientRecord, given: Partial<Evidence> = {}) =>
  check({ clients: [one], evidence: evidence(given) }).map(({ kind }) => kind);

test('a history in which everything was kept has no violation', () => {
  assert.deepEqual(kinds(client()), []);
  const moved = log(
    ['aws', running()],
    ['aws', released()],
    ['gcp', running(2)],
    ['azure', running(3)],
    ['azure', ended(done, 3)],
  );
  assert.deepEqual(kinds(client(), { events: moved }), []);
});

test('every kind of violation is found in a history made for it', () => {
  const failed = (code: 'backend_failed' | 'result_lost'): Outcome => ({
    status: 'failed',
    code,
    message: '',
    units: 0,
  });
  const bad: Readonly<Record<(typeof violationKinds)[number], ReturnType<typeof kinds>>> = {
    lost: kinds(client(), { events: log(['aws', running()]) }),
    'two-outcomes': kinds(client(), {
      events: log(['aws', running()], ['aws', ended()], ['scheduler', ended()]),
    }),
    'outcome-differs': kinds(client({ end: { status: 'failed', code: 'result_lost', atMs: 9 } })),
    duplicated: kinds(
      client({ heard: [0, 1, 1, 2].map((at, index) => ({ atMs: index, at, t: ` a${at}` })) }),
    ),
    missing: kinds(client({ heard: [0, 2].map((at) => ({ atMs: at, at, t: ` a${at}` })) })),
    'wrong-text': kinds(client({ heard: [{ atMs: 1, at: 0, t: ' b0' }] })),
    'unexpected-failure': kinds(client({ end: { status: 'failed', code: 'backend_failed', atMs: 9 } }), {
      events: log(['aws', running()], ['aws', ended(failed('backend_failed'))]),
    }),
    'silent-end': kinds(client({ attachments: [{ atMs: 1, via: 'ingress-1', from: 0, closed: 'silent' }] })),
    'stale-commit': kinds(client(), {
      events: log(['aws', running()], ['gcp', running(2)], ['aws', ended(done, 1)]),
    }),
    'left-over': kinds(client(), { jobs: ['llm.job.aws.r1'] }),
  };
  for (const kind of violationKinds) assert.ok(bad[kind].includes(kind), `${kind}: ${bad[kind].join()}`);
});

test('an answer that ends too early is missing something, even when nothing is out of order', () => {
  const short = client({ heard: client().heard.slice(0, 2) });
  assert.deepEqual(kinds(short), ['missing']);
});

test('a request is lost when its client was never told, and when it was never accepted', () => {
  const { end: _, ...untold } = client();
  assert.deepEqual(kinds(untold), ['lost']);
  const { acceptedAtMs: __, ...unaccepted } = untold;
  assert.deepEqual(kinds({ ...unaccepted, heard: [] }, { events: [] }), ['lost']);
});

test('an owner that was replaced in its own cluster cannot commit its old attempt', () => {
  const events = log(['aws', running(1)], ['aws', running(2)], ['aws', ended(done, 1)]);
  assert.deepEqual(kinds(client(), { events }), ['stale-commit']);
});

test('only who asked to be cancelled, or to expire, may be', () => {
  const cancelled = { end: { status: 'cancelled', atMs: 9 } } as const;
  const events = log(['aws', running()], ['aws', ended({ status: 'cancelled', units: 3 })]);
  assert.deepEqual(kinds(client({ ...cancelled, wish: 'cancel' }), { events }), []);
  assert.deepEqual(kinds(client(cancelled), { events }), ['unexpected-failure']);
});

test('an answer that cannot be continued may say so; one that can, may not', () => {
  const outcome: Outcome = { status: 'failed', code: 'continuation_impossible', message: '', units: 1 };
  const end = { status: 'failed', code: 'continuation_impossible', atMs: 9 } as const;
  const events = log(['aws', running()], ['gcp', running(2)], ['gcp', ended(outcome, 2)]);
  const heard = client().heard.slice(0, 1);
  assert.deepEqual(kinds(client({ end, heard, continuable: false }), { events }), []);
  assert.deepEqual(kinds(client({ end, heard }), { events }), ['unexpected-failure']);
});
