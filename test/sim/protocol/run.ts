import { parseArgs } from 'node:util';
import { runSeed } from './run-seed.ts';
import { describeFailure, keptSeeds, nothingYet, range, runSeeds } from './seeds.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10000' },
    from: { type: 'string', default: '1' },
    /** Only this one. */
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    /** Stop after so many seeds that fail. */
    failures: { type: 'string', default: '5' },
  },
});

const say = (line: string) => void process.stdout.write(`${line}\n`);

if (values.seed === undefined) await runMany();
else await runOne(Number(values.seed));

async function runOne(seed: number): Promise<void> {
  const { violations, ...result } = await runSeed(seed, values.trace ? { trace: say } : {});
  say(JSON.stringify(result));
  for (const { invariant, detail } of violations) say(`violated: ${invariant}: ${detail}`);
  if (violations.length > 0) process.exitCode = 1;
}

async function runMany(): Promise<void> {
  const started = process.cpuUsage();
  const sum = nothingYet();
  const failuresMax = Number(values.failures);
  await runSeeds(
    keptSeeds.map(({ seed }) => seed),
    sum,
    failuresMax,
  );
  await runSeeds(range(Number(values.from), Number(values.seeds)), sum, failuresMax);
  const cpuMs = process.cpuUsage(started).user / 1_000;
  say(
    `${sum.seeds} seeds, ${Math.round(sum.events / sum.seeds)} events each, ${(cpuMs / sum.seeds).toFixed(1)} ms of processor time each`,
  );
  say(`virtual time: ${(sum.virtualMs / 3_600_000).toFixed(1)} h`);
  say(`outcomes: ${JSON.stringify(sum.outcomes)}`);
  say(`counts: ${JSON.stringify(sum.counts)}`);
  say(`failed: ${sum.failed.map(({ seed }) => seed).join(' ') || 'none'}`);
  for (const { seed } of sum.failed.slice(0, 2)) say(await describeFailure(seed));
  if (sum.failed.length > 0) process.exitCode = 1;
}
