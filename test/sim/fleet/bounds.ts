import { createRequire } from 'node:module';
import type { Priority } from '@drover/schemas';
import { z } from 'zod';
import { minimise } from './program.ts';
import {
  type ClusterSpec,
  decodeAt,
  prefillContention,
  priceStepMs,
  pricesOf,
  type Scenario,
} from './scenario.ts';
import { type Arrival, promises } from './trace.ts';

/** One bin of the linear program. Prices stand still within it, since it divides their step. */
const binMs = 60_000;

/** The package's types describe its ES module as CommonJS, so that only `require` has the shape that they say. */
const loadHighs: () => Promise<{ solve(problem: string, options: object): unknown }> = createRequire(
  import.meta.url,
)('highs');
const solved = z.object({ Status: z.literal('Optimal'), ObjectiveValue: z.number() });

/** What a request takes at least, in tokens that are computed at the usual speed. */
type Work = { readonly prompt: number; readonly output: number };

/** Node seconds of one token at the least: all slots busy, when a node is most productive. */
type Rates = { readonly perPrompt: number; readonly perOutput: number };

export const leastRates = (spec: ClusterSpec): Rates => ({
  perPrompt: (1 + prefillContention * (spec.slots - 1)) / (spec.prefillTps * spec.slots),
  perOutput: 1 / decodeAt(spec, spec.slots),
});

/** The prompt without what the session has said before, as if every cache kept everything. */
export function leastWork(arrivals: readonly Arrival[]): Map<Arrival, Work> {
  const said = new Map<string, number>();
  return new Map(
    arrivals.map((arrival) => {
      const { session, promptTokens, outputTokens, slowness } = arrival;
      const cached = Math.min(promptTokens - 1, said.get(session) ?? 0);
      said.set(session, Math.max(said.get(session) ?? 0, promptTokens + outputTokens));
      return [arrival, { prompt: (promptTokens - cached) * slowness, output: outputTokens * slowness }];
    }),
  );
}

/** USD that no policy can go below while it answers everything by its deadline. L1: every request at the cheapest moment and place within its deadline, on nodes that cost nothing while idle or booting. */
export function fluidBound(
  scenario: Scenario,
  day: { arrivals: readonly Arrival[]; endMs: number },
  seed: number,
): number {
  const work = leastWork(day.arrivals);
  const clusters = scenario.clusters.map((spec) => ({
    rates: leastRates(spec),
    prices: pricesOf(spec, day.endMs, seed),
  }));
  let usd = 0;
  for (const [{ atMs, deadlineAtMs }, { prompt, output }] of work) {
    let least = Number.POSITIVE_INFINITY;
    for (const { rates, prices } of clusters)
      for (let step = Math.floor(atMs / priceStepMs); step * priceStepMs <= deadlineAtMs; step++) {
        const price = prices[step];
        if (price !== undefined)
          least = Math.min(least, price * (prompt * rates.perPrompt + output * rates.perOutput));
      }
    usd += least / 3_600;
  }
  return usd;
}

/**
 * L2: a linear program over bins of a minute that knows everything beforehand. Nodes may be fractions; a node serves only
 * if it was paid in the bins before, for as long as a boot takes; prompts and answers may be split over clusters and bins up
 * to the deadline. Nodes that are taken away are left out. All of this only lowers it.
 */
export async function lpBound(
  scenario: Scenario,
  day: { arrivals: readonly Arrival[]; endMs: number },
  seed: number,
): Promise<number> {
  return leastValueOf(programOf(scenario, day, seed));
}

/** The least value of a linear program in the LP format. @throws when it has none */
export async function leastValueOf(program: string): Promise<number> {
  const highs = await loadHighs();
  return solved.parse(highs.solve(program, { presolve: 'on' })).ObjectiveValue;
}

type Group = { readonly bin: number; readonly priority: Priority; prompt: number; output: number };

function groupsOf(arrivals: readonly Arrival[]): Group[] {
  const groups = new Map<string, Group>();
  for (const [{ atMs, priority }, { prompt, output }] of leastWork(arrivals)) {
    const bin = Math.floor(atMs / binMs);
    const key = `${bin} ${priority}`;
    const group = groups.get(key) ?? { bin, priority, prompt: 0, output: 0 };
    group.prompt += prompt;
    group.output += output;
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** The program as text, in the LP format. */
function programOf(
  scenario: Scenario,
  { arrivals, endMs }: { arrivals: readonly Arrival[]; endMs: number },
  seed: number,
): string {
  const bins = Math.ceil(endMs / binMs);
  const objective: string[] = [];
  const rows: string[] = [];
  const limits: string[] = [];
  /** Terms of the work in each bin of each cluster, in node seconds. */
  const work = scenario.clusters.map(() => Array.from({ length: bins }, (): string[] => []));

  groupsOf(arrivals).forEach(({ bin, priority, prompt, output }, group) => {
    const last = Math.min(bins - 1, bin + Math.ceil(promises[priority].deadlineMs / binMs));
    for (const [what, tokens] of [['p', prompt] as const, ['d', output] as const]) {
      const shares: string[] = [];
      scenario.clusters.forEach((spec, cluster) => {
        const { perPrompt, perOutput } = leastRates(spec);
        const seconds = tokens * (what === 'p' ? perPrompt : perOutput);
        for (let at = bin; at <= last; at++) {
          const share = `${what}${group}_${cluster}_${at}`;
          shares.push(share);
          work[cluster]?.[at]?.push(`${seconds.toFixed(6)} ${share}`);
        }
      });
      rows.push(`${shares.join(' + ')} = 1`);
    }
  });
  scenario.clusters.forEach((spec, cluster) => {
    const prices = pricesOf(spec, endMs, seed);
    const lag = Math.floor(spec.bootMs / binMs);
    for (let at = 0; at < bins; at++) {
      const price = prices[Math.floor((at * binMs) / priceStepMs)] ?? 0;
      objective.push(`${((price * binMs) / 3_600_000).toFixed(9)} n${cluster}_${at}`);
      const terms = work[cluster]?.[at] ?? [];
      if (terms.length > 0) rows.push(`${terms.join(' + ')} - ${binMs / 1_000} r${cluster}_${at} <= 0`);
      for (let before = 0; before <= lag; before++)
        rows.push(
          at - before < 0 ? `r${cluster}_${at} <= 0` : `r${cluster}_${at} - n${cluster}_${at - before} <= 0`,
        );
      limits.push(`0 <= n${cluster}_${at} <= ${spec.nodesMax}`);
      if (isOut(scenario, spec, at)) rows.push(`r${cluster}_${at} <= 0`);
    }
  });
  return minimise(objective, rows, limits);
}

/** Out for the whole of a bin. */
const isOut = ({ outages }: Scenario, { name }: ClusterSpec, bin: number): boolean =>
  outages.some(
    ({ cluster, fromMs, toMs }) => cluster === name && fromMs <= bin * binMs && (bin + 1) * binMs <= toMs,
  );
