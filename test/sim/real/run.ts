import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../../../infra/local/src/parts.ts';
import { startTestSystem } from '../../support/system.ts';
import { randomOf } from '../fleet/random.ts';
import { type Calibration, calibrate } from './calibrate.ts';
import { differencesOf, tableOf } from './compare.ts';
import { type Planned, targetOf } from './load.ts';
import { type Sized, simulate } from './model.ts';
import { pageOf } from './page.ts';
import { type Played, play } from './play.ts';
import { clusters, outputs, parts, still, tariffOf, words } from './setting.ts';

/**
 * Runs three real llama.cpp behind the real system, measures the machine by itself, plays a load, and plays the same load
 * on the fleet simulator. Prints both; exit code 1 when they differ by more than the goal.
 */
const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    /** Multiplies how long the load takes. */
    scale: { type: 'string', default: '1' },
    /** Keeps everything that was measured, as JSON. */
    keep: { type: 'string' },
    /** The page that is written. */
    out: { type: 'string', default: join(projectRoot, 'docs/benchmarks/simulator.md') },
  },
});
const seed = Number(flags.seed);
const scale = Number(flags.scale);
const horizonMs = parts.reduce((sum, { seconds }) => sum + seconds * scale * 1_000, 0);
const say = (line: string) => console.error(line);

await using system = await startTestSystem({
  clusters,
  backend: 'llama',
  policy: still,
  prices: Object.fromEntries(clusters.map(({ id, usdPerHour }) => [id, tariffOf(usdPerHour)])),
});
say('three llama.cpp, NATS, scheduler, agents and ingress are up; measuring the machine');
const target = targetOf(system.url, system.apiKey);
const calibration = await calibrate(system, target);
say(JSON.stringify(calibration));
const load = loadOf(calibration);
say(`${load.length} requests in ${horizonMs / 1_000} s`);
const played = await play(system, target, load, horizonMs, seed);
const simulated = simulate(sizesOf(played), horizonMs, calibration, played.firstRates);
if (flags.keep) writeFileSync(flags.keep, JSON.stringify({ calibration, played, horizonMs }));
const differences = differencesOf(played, simulated);
const table = tableOf(calibration, played, differences);
console.log(table);
writeFileSync(flags.out, pageOf(table, load.length, horizonMs / 1_000));
target.agent.destroy();
process.exitCode = differences.every(({ met }) => met !== false) ? 0 : 1;

/** Poisson arrivals, part by part, at a share of what the machine can do when all of it is at work. */
function loadOf({ prefillTps, decodeTps }: Calibration): Planned[] {
  const random = randomOf(seed, 'load');
  const between = ([from, to]: readonly [number, number]) => from + (to - from) * random.uniform();
  const middle = ([from, to]: readonly [number, number]) => (from + to) / 2;
  // The question around the words, by the chat template, is about as many tokens.
  const around = 18;
  const prefill = prefillTps.at(-1) ?? Number.NaN;
  const decode = decodeTps.at(-1)?.at(-1) ?? Number.NaN;
  const nodeSeconds = (middle(words) + around) / prefill + middle(outputs) / decode;
  const perMs = clusters.length / nodeSeconds / 1_000;
  const load: Planned[] = [];
  let fromMs = 0;
  for (const { seconds, share } of parts) {
    const toMs = fromMs + seconds * scale * 1_000;
    for (let atMs = fromMs; ; ) {
      atMs += random.exponential(1 / (perMs * share));
      if (atMs >= toMs) break;
      load.push({
        id: load.length,
        atMs,
        words: Math.round(between(words)),
        maxTokens: Math.round(between(outputs)),
      });
    }
    fromMs = toMs;
  }
  return load;
}

/** The requests that were answered, with the sizes that they turned out to have: not when, and not where. */
function sizesOf({ answers }: Played): Sized[] {
  return answers.flatMap(({ planned: { id, atMs, maxTokens }, answer }) =>
    answer
      ? [
          {
            id,
            atMs,
            maxTokens,
            promptTokens: answer.promptTokens,
            uncachedTokens: Math.max(1, answer.promptTokens - answer.cachedTokens),
            completionTokens: answer.completionTokens,
          },
        ]
      : [],
  );
}
