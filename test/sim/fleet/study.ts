import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fluidBound, lpBound } from './bounds.ts';
import { DroverDriver } from './drover.ts';
import { keptBound } from './kept-bound.ts';
import { type Measures, measuresOf } from './measure.ts';
import { type Contender, contenders } from './policies.ts';
import { pageOf, plotsOf } from './report.ts';
import { list, type Scenario, spot } from './scenario.ts';
import { dayOf, type Splice, sourceOf } from './trace.ts';
import { type Run, World } from './world.ts';

/**
 * Runs every policy in every scenario on every seed, and writes docs/benchmarks/policies.md and its plots. The same seeds
 * give the same bytes, except the line with the date.
 */
const { values: options } = parseArgs({
  options: { seeds: { type: 'string', default: '1,2,3,4,5,6' }, out: { type: 'string' } },
});
const seeds = options.seeds.split(',').map(Number);
const folder = options.out ?? fileURLToPath(new URL('../../../docs/benchmarks/', import.meta.url));

/** Fractions of the recorded hour, hour by hour, and what its tokens are divided by. */
export const splice: Splice = {
  kept: [1 / 40, 1 / 20, 1 / 10, 1 / 8, 1 / 20, 1 / 100],
  promptDivisor: 8,
  outputDivisor: 2,
};

export type Cell = {
  readonly seed: number;
  readonly measures: Measures;
  readonly run: Run;
  /** |actual − predicted| ÷ actual time of each answer, its length known; empty for who predicts nothing. */
  readonly errors: readonly number[];
};
export type Row = { readonly contender: Contender; readonly cells: readonly Cell[] };
export type Result = {
  readonly scenario: Scenario;
  readonly rows: readonly Row[];
  /** By seed, in the order of the seeds. */
  readonly bounds: readonly {
    readonly fluidUsd: number;
    readonly lpUsd: number;
    readonly keptUsd: number;
    readonly outputTokens: number;
  }[];
  readonly requests: readonly number[];
};

async function study(scenario: Scenario): Promise<Result> {
  const days = seeds.map((seed) => dayOf(sourceOf(seed), splice, seed));
  const rows = contenders.map((contender) => ({
    contender,
    cells: seeds.map((seed, index) => {
      const day = days[index];
      if (!day) throw new Error('one day per seed');
      const driver = contender.driver(seed, day.arrivals, scenario);
      const run = new World(scenario, day, driver, seed).run();
      const errors = driver instanceof DroverDriver ? driver.errors : [];
      return { seed, measures: measuresOf(run), run, errors };
    }),
  }));
  console.error(`${scenario.name}: ${rows.length} policies on ${seeds.length} seeds`);
  const bounds = [];
  for (const [index, day] of days.entries()) {
    const seed = seeds[index] ?? 0;
    bounds.push({
      fluidUsd: fluidBound(scenario, day, seed),
      lpUsd: await lpBound(scenario, day, seed),
      keptUsd: await keptBound(scenario, day, seed),
      outputTokens: day.arrivals.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
    });
    console.error(`${scenario.name}: bounds of seed ${seed}`);
  }
  return { scenario, rows, bounds, requests: days.map(({ arrivals }) => arrivals.length) };
}

const results = [await study(spot), await study(list)];
mkdirSync(`${folder}/policies`, { recursive: true });
for (const [name, svg] of plotsOf(results)) writeFileSync(`${folder}/policies/${name}`, svg);
writeFileSync(
  `${folder}/policies.md`,
  pageOf(results, { seeds, splice, source: sourceOf(0).label, date: new Date().toISOString().slice(0, 10) }),
);
