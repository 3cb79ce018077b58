import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agentId, clusterId, report, tariff } from '@drover/schemas';
import fc from 'fast-check';
import { agents, clocks, definitions, prices } from './doctor.ts';
import type { ClusterStatus } from './fleet.ts';

test('what is there may have more than what is defined, and must not have less or other', () => {
  const wanted = new Map([['S', { subjects: ['a', 'b'], sources: [{ name: 'x' }], max: 5 }]]);
  const found = (config: Record<string, unknown> | undefined) =>
    definitions('streams', wanted, new Map([['S', config]]));
  const whole = { subjects: ['a', 'b'], sources: [{ name: 'x', filter: '' }], max: 5, of_the_server: true };
  assert.equal(found(whole).result, 'ok');
  assert.match(found({ ...whole, subjects: ['a'] }).text, /^S differs in subjects/);
  assert.match(found({ ...whole, sources: [{ name: 'y' }], max: 6 }).text, /sources, max/);
  assert.match(found(undefined).text, /^S is missing/);
});

test('any definition is found to be as itself', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.dictionary(fc.string(), fc.jsonValue())), (all) => {
      const entries = new Map(Object.entries(all));
      assert.equal(definitions('x', entries, entries).result, 'ok');
    }),
  );
});

test('a clock that is off by more than two seconds is named, whichever way', () => {
  const at = (sentAtMs: number) => ({
    storedAtMs: 100_000,
    report: report.parse({
      ...{ v: 1, cluster: clusterId.parse('aws'), agent: agentId.parse('a1'), seq: 1 },
      ...{ startedAtMs: 0, sentAtMs, phase: 'ready', slots: 1, inFlight: [] },
    }),
  });
  assert.equal(clocks(1_900, [at(98_100), at(101_900)]).result, 'ok');
  assert.match(clocks(0, [at(90_000)]).text, /a1 at aws is 10\.0 s behind the hub/);
  assert.match(clocks(5_000, []).text, /this machine is 5\.0 s before the hub/);
  assert.equal(clocks(undefined, []).result, 'ok');
});

const price = (change: object) =>
  tariff.parse({ v: 1, usdPerHour: 1, market: 'spot', source: 's', asOf: '2026-01-01T00:00:00Z', ...change });
const day = 24 * 3_600_000;

test('a price that is missing or past its time is a fault, an old one is worth a look', () => {
  const nowMs = Date.parse('2026-01-01T00:00:00Z') + day;
  const of = (tariffs: Record<string, ReturnType<typeof price>>, atMs = nowMs) =>
    prices(['aws'], new Map(Object.entries(tariffs)), atMs);
  assert.equal(of({ aws: price({}) }).result, 'ok');
  assert.match(of({ gcp: price({}) }).text, /aws has none/);
  assert.equal(of({ aws: price({ validForMs: day - 1 }) }).result, 'failed');
  assert.equal(of({ aws: price({}) }, nowMs + 100 * day).result, 'warning');
});

test('clusters at zero are well; silent ones are not, nor is a fleet that is closed as a whole', () => {
  const one = (change: Partial<ClusterStatus>): ClusterStatus => ({
    ...{ cluster: 'aws', phase: 'ready', readyAgents: 1, slots: 4, running: 0, waiting: 0 },
    ...change,
  });
  assert.equal(agents([one({}), one({ phase: 'at-zero' })]).result, 'ok');
  assert.equal(agents([one({ phase: 'silent' })]).result, 'failed');
  assert.equal(agents([one({ cordoned: 'x' }), one({})]).result, 'warning');
  assert.equal(agents([one({ cordoned: 'x' })]).result, 'failed');
  assert.equal(agents([]).result, 'failed');
});
