import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decisionRecord, event, ledgerRecord } from '@drover/schemas';
import fc from 'fast-check';
import { differenceInterval, intervalOf, ratioOf } from './interval.ts';
import { type Observation, Observations } from './observation.ts';
import { pageOf } from './page.ts';
import { type Group, reportOf } from './report.ts';

const windowMs = 1_000;
const inWindow = (policy: string, window: number, more: Partial<Observation> = {}): Observation => ({
  request: `${policy}-${window}`,
  done: true,
  kept: true,
  usd: 0.001,
  completionTokens: 10,
  turn: { experiment: 'trial', policy, window, windowStartsAtMs: window * windowMs },
  ...more,
});
const anyObservation = fc
  .record({
    policy: fc.constantFrom('a', 'b'),
    window: fc.nat(9),
    kept: fc.boolean(),
    usd: fc.integer({ min: 1, max: 100 }),
    completionTokens: fc.integer({ min: 1, max: 50 }),
    burnIn: fc.boolean(),
  })
  .map(({ policy, window, burnIn, ...more }) => {
    const one = inWindow(policy, window, more);
    return burnIn && one.turn ? { ...one, turn: { ...one.turn, burnIn: true as const } } : one;
  });
const anyObservations = fc.array(anyObservation, { maxLength: 60 });
const comparisonOf = (observations: readonly Observation[]) => reportOf(observations, []).comparisons[0];

test('every request of a switchback is in one group or in the burn-in, and tokens and dollars add up', () => {
  fc.assert(
    fc.property(anyObservations, (observations) => {
      const comparison = comparisonOf(observations);
      if (!comparison) {
        assert.equal(observations.length, 0);
        return;
      }
      const sum = (of: (group: Group) => number) =>
        comparison.groups.reduce((total, group) => total + of(group), 0);
      const counted = observations.filter(({ turn }) => !turn?.burnIn);
      assert.equal(comparison.burnIn, observations.length - counted.length);
      assert.equal(
        sum(({ requests }) => requests),
        counted.length,
      );
      assert.equal(
        sum(({ outputTokens }) => outputTokens),
        counted.reduce((total, { completionTokens = 0 }) => total + completionTokens, 0),
      );
      assert.equal(
        sum(({ usd }) => usd),
        counted.reduce((total, { usd = 0 }) => total + usd, 0),
      );
    }),
  );
});

test('a figure is the ratio of the sums, whatever the windows', () => {
  fc.assert(
    fc.property(anyObservations, (observations) => {
      for (const { name, figures } of comparisonOf(observations)?.groups ?? []) {
        const own = observations.filter(({ turn }) => turn?.policy === name && !turn.burnIn);
        const usd = own.reduce((total, one) => total + (one.usd ?? 0), 0);
        const tokens = own.reduce((total, one) => total + (one.completionTokens ?? 0), 0);
        assert.ok(Math.abs((figures.settledUsdPer1k?.value ?? 0) - (usd * 1_000) / tokens) < 1e-6);
      }
    }),
    { numRuns: 20 },
  );
});

test('what a burn-in did changes no figure', () => {
  fc.assert(
    fc.property(anyObservations, (observations) => {
      const altered = observations.map((one) => (one.turn?.burnIn ? { ...one, usd: 1e6, kept: false } : one));
      assert.deepEqual(reportOf(altered, []), reportOf(observations, []));
    }),
    { numRuns: 20 },
  );
});

const anySums = fc.record({ over: fc.nat(100), under: fc.integer({ min: 1, max: 100 }) });
const anyClusters = fc.array(anySums, { minLength: 2, maxLength: 12 });

test('an interval lies between the lowest and the highest cluster, and the same data give the same', () => {
  fc.assert(
    fc.property(anyClusters, (clusters) => {
      const interval = intervalOf(clusters);
      assert.ok(interval);
      const ratios = clusters.map(({ over, under }) => over / under);
      assert.ok(interval.low >= Math.min(...ratios) - 1e-9 && interval.high <= Math.max(...ratios) + 1e-9);
      assert.ok(interval.low <= interval.high);
      assert.deepEqual(intervalOf(clusters), interval);
    }),
    { numRuns: 20 },
  );
});

test('more requests of the same kind in the same windows do not make the interval narrower', () => {
  fc.assert(
    fc.property(anyClusters, fc.integer({ min: 2, max: 9 }), (clusters, times) => {
      const repeated = clusters.map(({ over, under }) => ({ over: over * times, under: under * times }));
      const [one, many] = [intervalOf(clusters), intervalOf(repeated)];
      assert.ok(one && many);
      assert.ok(Math.abs(one.low - many.low) < 1e-9 && Math.abs(one.high - many.high) < 1e-9);
    }),
    { numRuns: 20 },
  );
});

test('windows that are all alike leave no doubt, and one window alone has no interval', () => {
  const alike = Array.from({ length: 5 }, () => ({ over: 3, under: 4 }));
  assert.deepEqual(intervalOf(alike), { low: 0.75, high: 0.75 });
  assert.equal(intervalOf(alike.slice(1, 2)), undefined);
  assert.equal(ratioOf([]), undefined);
  assert.deepEqual(differenceInterval(alike, alike), { low: 0, high: 0 });
});

/** Ten experiments in a hundred would be a coverage of 90 %. The bounds are what 200 draws of 95 % may give, and a bit. */
test('the interval holds the truth in about 95 of 100 experiments with 30 windows', () => {
  let seed = 1;
  const uniform = () => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return seed / 0x7fffffff;
  };
  let held = 0;
  const experiments = 200;
  for (let n = 0; n < experiments; n++) {
    const clusters = Array.from({ length: 30 }, () => ({ over: 10 * (uniform() + uniform()), under: 10 }));
    const interval = intervalOf(clusters);
    if (interval && interval.low <= 1 && interval.high >= 1) held++;
  }
  assert.ok(held / experiments > 0.88 && held / experiments < 0.99, `${held} of ${experiments}`);
});

const recordOf = (request: string, more: Record<string, unknown> = {}) =>
  decisionRecord.parse({
    v: 1,
    request,
    tenant: 't1',
    model: 'm1',
    priority: 'standard',
    attempt: 1,
    decidedAtMs: 1_000,
    queueMs: 0,
    strategy: 'cost',
    policyRevision: 1,
    estimate: { promptTokens: 1, outputTokens: 1 },
    kind: 'assign',
    chosen: 'aws',
    rule: 'lowest-score',
    deadlineAtMs: 5_000,
    candidates: [
      {
        cluster: 'aws',
        slots: 1,
        load: 0,
        costs: { marginalUsd: 1, realisedUsdPer1k: 2 },
        predicted: { ttftMs: 10, tpotMs: 1, totalMs: 100 },
      },
      {
        cluster: 'gcp',
        slots: 1,
        load: 0,
        costs: { marginalUsd: 3 },
        predicted: { ttftMs: 30, tpotMs: 1, totalMs: 100 },
      },
    ],
    ...more,
  });
const endOf = (status: 'done' | 'cancelled', ttftMs?: number) => {
  const outcome = status === 'done' ? { status, finish: 'stop', units: 1 } : { status, units: 0 };
  const parsed = event.parse({
    v: 1,
    state: 'ended',
    attempt: 1,
    atMs: 0,
    outcome,
    ...(ttftMs ? { ttftMs } : {}),
  });
  assert.ok(parsed.state === 'ended');
  return parsed;
};
const settledOf = (request: string, usd: number) =>
  ledgerRecord.parse({
    ...{ v: 1, request, tenant: 't1', endedAtMs: 0, status: 'done', portions: [], usd },
    ...{ promptTokens: 1, completionTokens: 10 },
  });

test('records of the three streams are joined by request, in whatever order they come', () => {
  const steps: ((into: Observations) => void)[] = [
    (into) => into.decided(recordOf('r1'), 2_000),
    (into) => into.ended('t1', 'r1', endOf('done', 25), 4_500),
    (into) => into.settled(settledOf('r1', 0.5)),
    (into) => into.decided(recordOf('r2'), 2_000),
    (into) => into.ended('t1', 'r2', endOf('done'), 5_001),
    (into) => into.decided(recordOf('r3', { attempt: 2 }), 3_000),
  ];
  fc.assert(
    fc.property(fc.shuffledSubarray(steps, { minLength: steps.length }), (shuffled) => {
      const observations = new Observations();
      for (const step of shuffled) step(observations);
      const [one, two, ...others] = observations.all();
      assert.deepEqual(one, {
        ...{ request: 't1 r1', done: true, kept: true, predictedTtftMs: 10, ttftMs: 25 },
        ...{ predictedTotalMs: 100, totalMs: 2_500, usd: 0.5, completionTokens: 10, realisedUsdPer1k: 2 },
      });
      // It was done, and too late.
      assert.deepEqual([two?.request, two?.done, two?.kept], ['t1 r2', true, false]);
      // Its first decision is not known, and so not whose it is.
      assert.equal(others.length, 0);
    }),
  );
});

test('a request that was moved belongs to its first decision and has no time to compare with its promise', () => {
  const observations = new Observations();
  const turn = { experiment: 'trial', policy: 'a', window: 0, windowStartsAtMs: 0 };
  observations.decided(recordOf('r1', { turn }), 1_000);
  observations.decided(recordOf('r1', { attempt: 2, chosen: 'gcp', turn: { ...turn, policy: 'b' } }), 2_000);
  observations.ended('t1', 'r1', endOf('done'), 3_000);
  const [one] = observations.all();
  assert.equal(one?.turn?.policy, 'a');
  assert.equal(one?.totalMs, undefined);
  assert.equal(one?.kept, true);
});

test('a shadow is told by how often it agreed, what its choice would have cost, and where it differed', () => {
  const observations = new Observations();
  const shadow = { experiment: 'trial', policy: 's', kind: 'assign' };
  const records = [
    recordOf('r1', { shadow: { ...shadow, chosen: 'aws' } }),
    recordOf('r2', { shadow: { ...shadow, chosen: 'gcp' } }),
    recordOf('r3', { shadow: { ...shadow, kind: 'defer' } }),
    recordOf('r4', { shadow: { ...shadow, kind: 'error', error: 'Error: x' } }),
    recordOf('r5', { kind: 'reject', chosen: undefined, shadow: { ...shadow, kind: 'reject' } }),
  ];
  for (const record of records) observations.decided(record, 0);
  const report = reportOf(observations.all(), observations.looks);
  assert.deepEqual(report.comparisons, []);
  assert.deepEqual(report.shadows, [
    {
      ...{ experiment: 'trial', policy: 's', decisions: 4, agreed: 2, errors: 1 },
      ...{ usd: 2, usdMore: 2, ttftMoreMs: 10 },
      moves: [
        { real: 'aws', would: 'defer', decisions: 1 },
        { real: 'aws', would: 'gcp', decisions: 1 },
      ],
    },
  ]);
  const page = pageOf(report);
  assert.match(page, /4 decisions, the same in 2 \(50\.0 %\); it failed 1 times/);
  assert.match(page, /\$2\.00 more than \$2\.00 \(\+100\.0 %\), with first tokens 10 ms later/);
});

test('the page names every policy, its intervals and the difference, and says when windows are few', () => {
  const observations = [0, 1, 2, 3].map((window) =>
    inWindow(window % 2 ? 'b' : 'a', window, { usd: 0.001 * (window + 1) }),
  );
  const page = pageOf(reportOf(observations, []));
  assert.match(page, /^a +2 +2 +2 +20 .*\[0\.100, 0\.300\]/m);
  assert.match(page, /^b − a .*0\.100 \[/m);
  assert.match(page, /fewer than 10 windows/);
  assert.equal(pageOf({ comparisons: [], shadows: [] }), 'Nothing was tried in this time.');
});

test('a policy that was late in its last three windows is named, and one that is no more is not', () => {
  const trial = (isLate: (window: number) => boolean) =>
    Array.from({ length: 12 }, (_, window) =>
      inWindow(window % 2 ? 'b' : 'a', window, { kept: window % 2 === 0 || !isLate(window) }),
    );
  const now = comparisonOf(trial((window) => window > 8));
  assert.deepEqual(now?.tooLate, ['b']);
  assert.match(
    pageOf(
      reportOf(
        trial((window) => window > 8),
        [],
      ),
    ),
    /late in the last three windows.*: b\./,
  );
  assert.deepEqual(comparisonOf(trial((window) => window < 6))?.tooLate, []);
  assert.deepEqual(comparisonOf(trial(() => true).slice(0, 4))?.tooLate, []);
});
