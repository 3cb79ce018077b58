import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { streams } from '@drover/schemas';
import { mutations } from './mutations.ts';
import { type RunOptions, runSeed } from './run-seed.ts';
import type { Scenario } from './scenario.ts';
import { describeFailure, keptSeeds, nothingYet, range, runSeeds } from './seeds.ts';

/** Of the long run; more with `node test/sim/protocol/run.ts --seeds 100000`. */
const seedsInTest = Number(process.env.SIM_SEEDS ?? 10_000);
/** Every safeguard that is missing is noticed within so many seeds. */
const seedsPerMutation = 8_000;

async function traceHash(seed: number): Promise<string> {
  const hash = createHash('sha256');
  await runSeed(seed, { trace: (line) => void hash.update(line) });
  return hash.digest('hex');
}

test('the same seed gives the same run, whatever ran before it', async () => {
  const seeds = [...range(1, 25)];
  const first = new Map<number, string>();
  for (const seed of seeds) first.set(seed, await traceHash(seed));
  for (const seed of seeds.reverse()) assert.equal(await traceHash(seed), first.get(seed), `seed ${seed}`);
  assert.equal(new Set(first.values()).size, seeds.length);
});

test('seeds that found something once find nothing any more', async () => {
  for (const { seed, found } of keptSeeds) {
    const { violations } = await runSeed(seed);
    if (violations.length > 0) assert.fail(`${found}\n${await describeFailure(seed)}`);
  }
});

for (const { without, violates, options, install } of mutations) {
  test(`without ${without}, a seed finds that ${violates.join(' or ')} does not hold`, async () => {
    using _installed = install?.();
    for (const seed of range(1, seedsPerMutation)) {
      const { violations } = await runSeed(seed, options);
      const [first] = violations;
      if (!first) continue;
      assert.ok(
        violations.some(({ invariant }) => violates.includes(invariant)),
        `seed ${seed}: ${first.invariant}: ${first.detail}`,
      );
      return;
    }
    assert.fail(`${seedsPerMutation} seeds noticed nothing`);
  });
}

test('an end that was heard and not stored takes no request out of the queue', async () => {
  const options: RunOptions = {
    change: (scenario) => ({
      ...oneRequest(scenario, { deadlineMs: 1_500 }),
      faults: [
        // Nobody can take the request until its deadline, and then the event log is away.
        ...scenario.clusters.map((_, index) => ({
          kind: 'backend-crash' as const,
          role: 'agent' as const,
          index,
          atMs: 400,
          forMs: 8_000,
        })),
        {
          kind: 'election',
          role: 'agent',
          index: 0,
          atMs: 1_200,
          forMs: 6_000,
          streams: [streams.events.name],
        },
      ],
    }),
  };
  const { violations, outcomes } = await runSeed(7, options);
  assert.deepEqual(violations, []);
  assert.deepEqual(outcomes, { deadline_exceeded: 1 });
});

/** A calm scenario with one plain request, and one scheduler. */
function oneRequest(scenario: Scenario, change: { readonly deadlineMs: number }): Scenario {
  const [ask] = scenario.asks;
  if (!ask) throw new Error('a scenario has a request');
  const plain = { poison: false, againAfterMs: undefined, cancelAfterMs: undefined };
  return {
    ...scenario,
    schedulers: 1,
    clusters: scenario.clusters.map((cluster) => ({ ...cluster, agents: [1] })),
    asks: [{ ...ask, ...plain, ...change, atMs: 1_000 }],
    faults: [],
  };
}

test(`${seedsInTest} seeds keep every invariant`, async (t) => {
  const sum = nothingYet();
  await runSeeds(range(1, seedsInTest), sum, 3);
  t.diagnostic(`outcomes ${JSON.stringify(sum.outcomes)}; counts ${JSON.stringify(sum.counts)}`);
  const [first] = sum.failed;
  if (first) assert.fail(await describeFailure(first.seed));
  // A simulation in which nothing goes wrong shows nothing.
  for (const outcome of [
    'done',
    'cancelled',
    'deadline_exceeded',
    'attempts_exhausted',
    'continuation_impossible',
  ])
    assert.ok((sum.outcomes[outcome] ?? 0) > 0, `no request ended with ${outcome}`);
  const { requests = 0, assignments = 0, runs = 0, returns = 0 } = sum.counts;
  assert.ok(assignments > requests && runs > requests && returns > 0);
});
