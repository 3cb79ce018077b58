import assert from 'node:assert/strict';
import test from 'node:test';
import { aReport, cluster } from '../../testing/builders.ts';
import { type Fleet, inFlightAt, viewOf, withoutGone, withReport } from './fleet.ts';

const aws = cluster('aws');
const fleetOf = (...reports: [Parameters<typeof aReport>[0], number][]): Fleet =>
  reports.reduce<Fleet>((fleet, [change, atMs]) => withReport(fleet, aReport(change), atMs), new Map());
const view = (fleet: Fleet, nowMs = 0) => viewOf(fleet, aws, nowMs, 3_000);

test('slots of ready agents add up, and one ready agent makes a cluster ready', () => {
  const fleet = fleetOf(
    [{}, 0],
    [{ agent: 'a2', slots: 3 }, 0],
    [{ agent: 'a3', phase: 'down', slots: 9 }, 0],
  );
  assert.equal(view(fleet).slots, 5);
  assert.equal(view(fleet).nodes, 2);
  assert.equal(view(fleet).phase, 'ready');
});

test('rates are averages weighted by the tokens they rest on', () => {
  const fleet = fleetOf(
    [{ rates: { prefillTps: 100, decode: [{ b: 1, tps: 10, n: 300 }] } }, 0],
    [{ agent: 'a2', rates: { decode: [{ b: 1, tps: 20, n: 100 }] } }, 0],
  );
  assert.deepEqual(view(fleet).rates, { prefillTps: 100, decode: [{ b: 1, tps: 12.5, n: 400 }] });
});

test('a figure that nobody measured is absent', () => {
  assert.equal(view(fleetOf([{ rates: undefined }, 0])).rates, undefined);
});

test('a late report is ignored, and a restarted agent replaces its earlier life', () => {
  const fleet = fleetOf([{ seq: 5, slots: 4 }, 0], [{ seq: 4, slots: 1 }, 1]);
  assert.equal(view(fleet).slots, 4);
  const restarted = withReport(fleet, aReport({ startedAtMs: 2, seq: 0, slots: 7 }), 2);
  assert.equal(view(restarted).slots, 7);
  assert.equal(view(withReport(restarted, aReport({ seq: 99, slots: 1 }), 3)).slots, 7);
});

test('silence makes a cluster silent, and later unknown', () => {
  const fleet = fleetOf([{}, 0]);
  assert.equal(view(fleet, 3_000).phase, 'ready');
  assert.equal(view(fleet, 3_001).phase, 'silent');
  assert.equal(view(fleet, 3_001).slots, 0);
  assert.equal(withoutGone(fleet, 60_000), fleet);
  assert.equal(withoutGone(fleet, 60_001).size, 0);
});

test('jobs in flight are those that any agent lists', () => {
  const fleet = fleetOf(
    [{ inFlight: [{ id: 'r1', attempt: 1, outputTokens: 0 }] }, 0],
    [{ agent: 'a2', inFlight: [{ id: 'r2', attempt: 1, outputTokens: 0 }] }, 0],
  );
  assert.deepEqual([...inFlightAt(fleet, aws).keys()], ['r1', 'r2']);
});
