import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { catalogue, type ExperimentInput, experiment } from '@drover/schemas';
import fc from 'fast-check';
import { policyAt } from './switchback.ts';

const startsAt = '2025-01-01T00:00:00Z';
const startMs = Date.parse(startsAt);
const windowMs = 600_000;
const anExperiment = (
  names: readonly string[],
  seed: number,
  change: Partial<NonNullable<ExperimentInput['switchback']>> = {},
) =>
  experiment.parse({
    v: 1,
    name: 'trial',
    switchback: {
      policies: Object.fromEntries(names.map((name) => [name, { v: 1, strategy: 'cost' }])),
      seed,
      startsAt,
      windowMs,
      burnInMs: 120_000,
      ...change,
    },
  });
const anyNames = fc.uniqueArray(fc.stringMatching(/^[a-z0-9]{1,6}$/), { minLength: 2, maxLength: 4 });
const orderOf = (trial: ReturnType<typeof anExperiment>, windows: number) =>
  Array.from({ length: windows }, (_, n) => policyAt(trial, startMs + n * windowMs)?.turn.policy);

test('in every round of windows each policy has one, whatever the seed', () => {
  fc.assert(
    fc.property(anyNames, fc.integer(), fc.nat(1_000), (names, seed, round) => {
      const trial = anExperiment(names, seed);
      const turns = names.map(
        (_, n) => policyAt(trial, startMs + (round * names.length + n) * windowMs)?.turn.policy,
      );
      assert.deepEqual(turns.toSorted(), names.toSorted());
    }),
  );
});

test('the order differs from round to round and from seed to seed, and both orders of a pair are as frequent', () => {
  const order = orderOf(anExperiment(['a', 'b'], 1), 2_000);
  const firsts = order.filter((_, n) => n % 2 === 0);
  const share = firsts.filter((policy) => policy === 'a').length / firsts.length;
  assert.ok(share > 0.45 && share < 0.55, `${share}`);
  assert.notDeepEqual(order, orderOf(anExperiment(['a', 'b'], 2), 2_000));
});

test('a policy is in force for its whole window, and its first minutes are burn-in', () => {
  fc.assert(
    fc.property(fc.nat(500), fc.integer({ min: 0, max: windowMs - 1 }), (window, intoMs) => {
      const trial = anExperiment(['a', 'b'], 7);
      const first = policyAt(trial, startMs + window * windowMs);
      const now = policyAt(trial, startMs + window * windowMs + intoMs);
      assert.ok(first && now);
      assert.equal(now.turn.policy, first.turn.policy);
      assert.equal(now.turn.window, window);
      assert.equal(now.turn.windowStartsAtMs, startMs + window * windowMs);
      assert.equal(now.turn.burnIn === true, intoMs < 120_000);
    }),
  );
});

test('the order in which policies are written down changes nothing', () => {
  assert.deepEqual(
    orderOf(anExperiment(['a', 'b', 'c'], 3), 60),
    orderOf(anExperiment(['c', 'a', 'b'], 3), 60),
  );
});

test('before its start and from its end on no policy of an experiment is in force', () => {
  const trial = anExperiment(['a', 'b'], 1, { endsAt: '2025-01-01T01:00:00Z' });
  assert.equal(policyAt(trial, startMs - 1), undefined);
  assert.ok(policyAt(trial, startMs));
  assert.ok(policyAt(trial, startMs + 3_600_000 - 1));
  assert.equal(policyAt(trial, startMs + 3_600_000), undefined);
  assert.equal(policyAt(trial, Number.NaN), undefined);
});

test('an experiment that tries nothing, or says something unknown, is refused', () => {
  const good: ExperimentInput = {
    v: 1,
    name: 'x',
    shadow: { name: 's', policy: { v: 1, strategy: 'latency' } },
  };
  assert.ok(experiment.safeParse(good).success);
  const switchback = { policies: {}, seed: 1, startsAt };
  const policies = { a: { v: 1, strategy: 'cost' }, b: { v: 1, strategy: 'latency' } };
  for (const bad of [
    { v: 1, name: 'x' },
    { ...good, more: 1 },
    { ...good, name: 'Not A Label' },
    { v: 1, name: 'x', switchback },
    { v: 1, name: 'x', switchback: { ...switchback, policies: { a: policies.a } } },
    { v: 1, name: 'x', switchback: { ...switchback, policies, windows: 3 } },
    { v: 1, name: 'x', switchback: { ...switchback, policies, windowMs: 60_000, burnInMs: 60_000 } },
    { v: 1, name: 'x', switchback: { ...switchback, policies, endsAt: startsAt } },
    {
      v: 1,
      name: 'x',
      switchback: { ...switchback, policies: { ...policies, b: { v: 1, strategy: 'cost', margin: 1 } } },
    },
  ])
    assert.equal(experiment.safeParse(bad).success, false, JSON.stringify(bad));
});

test('every example of docs/experiments.md is a valid experiment or catalogue', () => {
  const file = fileURLToPath(new URL('../../../../docs/experiments.md', import.meta.url));
  const examples = [...readFileSync(file, 'utf8').matchAll(/^```json\n([\s\S]*?)^```$/gm)];
  assert.equal(examples.length, 3);
  for (const [, text = ''] of examples) {
    const value: unknown = JSON.parse(text);
    assert.ok(experiment.safeParse(value).success || catalogue.safeParse(value).success, text);
  }
});
