import assert from 'node:assert/strict';
import test from 'node:test';
import type { ClientRecord, FaultRecord, Opening, PartKind } from './history.ts';
import { percentile, resumes } from './resume.ts';

const heard = (...atMs: readonly number[]) => atMs.map((ms, at) => ({ atMs: ms, at, t: ` a${at}` }));
const client = (change: Partial<ClientRecord>): ClientRecord => ({
  id: 'r1',
  kind: 'http-stream',
  wish: 'complete',
  continuable: true,
  expected: '',
  sentAtMs: 0,
  acceptedAtMs: 0,
  attachments: [],
  heard: [],
  ...change,
});
const kill = (kind: PartKind, atMs: number, units: number): FaultRecord => ({
  what: 'kill',
  part: kind,
  kind,
  atMs,
  lastsMs: 0,
  victims: [{ id: 'r1', units }],
});
const opening = (atMs: number, i: number): Opening => ({ id: 'r1', atMs, fence: atMs, i, attempt: 1 });
const times = (faults: FaultRecord[], one: ClientRecord, openings: Opening[] = []) =>
  resumes({ clients: [one], faults, openings }).map(({ ms, compound }) => [ms, compound]);

test('tokens that were on their way when an agent died do not count as resumed', () => {
  const one = client({ heard: heard(100, 120, 210, 900, 920) });
  assert.deepEqual(times([kill('agent', 200, 2)], one, [opening(90, 0), opening(890, 3)]), [[700, false]]);
});

test('a request whose agent died before it spoke resumes with its first token', () => {
  const one = client({ heard: heard(900) });
  assert.deepEqual(times([kill('agent', 200, 0)], one, [opening(880, 0)]), [[700, false]]);
});

test('a stream whose ingress died resumes on the next connection', () => {
  const attach = (atMs: number, from: number) => ({ atMs, via: 'ingress-1', from });
  const one = client({ heard: heard(100, 205, 400), attachments: [attach(50, 0), attach(300, 2)] });
  assert.deepEqual(times([kill('ingress', 200, 1)], one), [[200, false]]);
});

test('the death of a nats-server counts until the longest pause after it is over', () => {
  const one = client({ heard: heard(100, 190, 210, 220, 1_500, 1_520) });
  assert.deepEqual(times([kill('nats', 200, 2)], one), [[1_300, false]]);
});

test('a stream that was hit again before it went on is told apart', () => {
  const one = client({ heard: heard(100, 900) });
  const both = [kill('agent', 200, 1), kill('nats', 400, 1)];
  assert.deepEqual(times(both, one, [opening(890, 1)]), [
    [700, true],
    [500, false],
  ]);
});

test('a request that had ended has nothing to resume', () => {
  assert.deepEqual(times([kill('agent', 200, 2)], client({ heard: heard(100, 120) })), []);
});

test('a percentile is one of the values', () => {
  const values = Array.from({ length: 100 }, (_, index) => index + 1);
  assert.equal(percentile(values, 0.99), 99);
  assert.equal(percentile(values, 0.5), 50);
  assert.equal(percentile([], 0.5), undefined);
});
