import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { aCandidate, aContext, anAsk, aPolicy, aTariff, aView, cluster } from '../../testing/builders.ts';
import { decide } from './decide.ts';
import type { Candidate, Incumbent } from './types.ts';

const priced = (name: string, usdPerHour: number, change: Partial<Candidate> = {}) =>
  aCandidate(name, { tariff: aTariff(usdPerHour), ...change });
const since = (name: string, sinceMs = 0): Incumbent => ({ cluster: cluster(name), sinceMs });

function assigned(fleet: Candidate[], incumbent: Incumbent | undefined, nowMs = 10_000) {
  const decision = decide(anAsk(), fleet, aContext({ nowMs, ...(incumbent ? { incumbent } : {}) }));
  assert.ok(decision.kind === 'assign');
  return decision;
}

test('the incumbent stays within the margin and is replaced beyond it', () => {
  const within = assigned([priced('aws', 0.1), priced('gcp', 0.09)], since('aws'));
  assert.deepEqual([within.cluster, within.rule], ['aws', 'incumbent-kept']);
  const beyond = assigned([priced('aws', 0.1), priced('gcp', 0.08)], since('aws'));
  assert.deepEqual([beyond.cluster, beyond.rule], ['gcp', 'incumbent-beaten']);
  assert.deepEqual(beyond.incumbent, since('gcp', 10_000));
});

test('the incumbent stays while its dwell time is not over', () => {
  const fleet = [priced('aws', 0.1), priced('gcp', 0.01)];
  assert.equal(assigned(fleet, since('aws', 9_000)).cluster, 'aws');
  assert.equal(assigned(fleet, since('aws', 8_000)).cluster, 'gcp');
});

test('a full incumbent keeps its place: the overflow goes elsewhere and comes back', () => {
  const overflow = assigned(
    [priced('aws', 0.1, { load: 4 }), priced('gcp', 0.2), priced('lab', 0.3)],
    since('aws'),
  );
  assert.deepEqual(
    [overflow.cluster, overflow.rule, overflow.incumbent],
    ['gcp', 'incumbent-overflow', since('aws')],
  );
  const back = assigned([priced('aws', 0.1, { load: 3 }), priced('gcp', 0.2)], overflow.incumbent);
  assert.equal(back.cluster, 'aws');
});

test('an incumbent that is down loses its place', () => {
  const down = priced('aws', 0.1, { view: aView('aws', { phase: 'down', slots: 0, nodes: 0 }) });
  const lost = assigned([down, priced('gcp', 0.2), priced('lab', 0.3)], since('aws'));
  assert.deepEqual(
    [lost.cluster, lost.rule, lost.incumbent],
    ['gcp', 'incumbent-lost', since('gcp', 10_000)],
  );
});

test('a near tie goes to the cluster that is busy already', () => {
  // Prices that make the idle one a little cheaper in spite of the other's company.
  const busy = priced('gcp', 0.1, { load: 1 });
  const idle = priced('aws', 0.09);
  const decision = assigned([busy, idle], undefined);
  assert.deepEqual([decision.cluster, decision.rule], ['gcp', 'near-tie-loaded']);
});

test('under noise of ten percent in their relation, traffic moves at most once', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.9, max: 1.1, noNaN: true }), { minLength: 20, maxLength: 60 }),
      (noise) => {
        let incumbent: Incumbent | undefined;
        let moves = 0;
        noise.forEach((factor, index) => {
          const fleet = [priced('aws', 0.1), priced('gcp', 0.1 * factor)];
          const decision = assigned(fleet, incumbent, index * 5_000);
          if (incumbent && decision.cluster !== incumbent.cluster) moves++;
          incumbent = decision.incumbent;
        });
        assert.equal(moves, 0);
      },
    ),
  );
});

test('whatever the noise, traffic does not move twice within the dwell time', () => {
  const { dwellMs } = aPolicy();
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0.2, max: 5, noNaN: true }), { maxLength: 60 }), (noise) => {
      let incumbent: Incumbent | undefined;
      let movedAtMs = Number.NEGATIVE_INFINITY;
      noise.forEach((factor, index) => {
        const nowMs = index * 300;
        const decision = assigned([priced('aws', 0.1), priced('gcp', 0.1 * factor)], incumbent, nowMs);
        if (incumbent && decision.cluster !== incumbent.cluster) {
          assert.ok(nowMs - movedAtMs >= dwellMs);
          movedAtMs = nowMs;
        }
        incumbent = decision.incumbent;
      });
    }),
  );
});
