import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type RunResult, runSeed } from './run-seed.ts';

const kept = z.array(z.strictObject({ seed: z.int(), found: z.string() }));

/** Seeds that have found something once, and what; they are run first. */
export const keptSeeds = kept.parse(
  JSON.parse(readFileSync(new URL('failing-seeds.json', import.meta.url), 'utf8')),
);

export type Sum = {
  seeds: number;
  virtualMs: number;
  events: number;
  readonly failed: RunResult[];
  readonly outcomes: Record<string, number>;
  readonly counts: Record<string, number>;
};

export const nothingYet = (): Sum => ({
  seeds: 0,
  virtualMs: 0,
  events: 0,
  failed: [],
  outcomes: {},
  counts: {},
});

/** Runs seeds one after the other, until so many have failed. */
export async function runSeeds(seeds: Iterable<number>, sum: Sum, failuresMax: number): Promise<void> {
  for (const seed of seeds) {
    const result = await runSeed(seed);
    sum.seeds++;
    sum.virtualMs += result.virtualMs;
    sum.events += result.events;
    addUp(sum.outcomes, result.outcomes);
    addUp(sum.counts, result.counts);
    if (result.violations.length > 0) sum.failed.push(result);
    if (sum.failed.length >= failuresMax) return;
  }
}

export function* range(from: number, count: number): Generator<number> {
  for (let seed = from; seed < from + count; seed++) yield seed;
}

function addUp(sum: Record<string, number>, given: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(given)) sum[name] = (sum[name] ?? 0) + count;
}

/** The end of a seed's trace, with what it violates. */
export async function describeFailure(seed: number, linesMax = 60): Promise<string> {
  const lines: string[] = [];
  const { violations } = await runSeed(seed, { trace: (line) => lines.push(line) });
  return [
    `seed ${seed}:`,
    ...violations.map(({ invariant, detail }) => `  ${invariant}: ${detail}`),
    `the last of its ${lines.length} lines (all: node test/sim/protocol/run.ts --seed ${seed} --trace):`,
    ...lines.slice(-linesMax).map((line) => line.slice(0, 240)),
  ].join('\n');
}
