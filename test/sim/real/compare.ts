import { quantile } from '../../bench/load.ts';
import type { Calibration } from './calibrate.ts';
import { ttftOf } from './load.ts';
import type { Simulated } from './model.ts';
import type { Paid, Played } from './play.ts';
import { clusters } from './setting.ts';

/** The most that simulation and reality may differ, as a share of reality. */
export const goal = 0.15;

export type Difference = {
  readonly what: string;
  readonly real: number;
  readonly simulated: number;
  readonly digits: number;
  /** Simulated over real, less one. */
  readonly by: number;
  /** Absent: only shown. */
  readonly met?: boolean;
};

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

const nodeUsd = (paid: readonly Paid[]): number =>
  sum(
    paid.map(({ cluster, fromMs, toMs }) => {
      const usdPerHour = clusters.find(({ id }) => id === cluster)?.usdPerHour ?? Number.NaN;
      return ((toMs - fromMs) / 3_600_000) * usdPerHour;
    }),
  );

export function differencesOf(played: Played, simulated: Simulated): Difference[] {
  const answers = played.answers.flatMap(({ answer }) => (answer ? [answer] : []));
  const ttfts = answers.map(ttftOf);
  const totals = answers.map(({ endedAtMs, startedAtMs }) => endedAtMs - startedAtMs);
  const line = (what: string, real: number, model: number, digits: number, counts = false): Difference => {
    const by = model / real - 1;
    return { what, real, simulated: model, digits, by, ...(counts ? { met: Math.abs(by) <= goal } : {}) };
  };
  return [
    line('TTFT p50, ms', quantile(ttfts, 0.5), quantile(simulated.ttftsMs, 0.5), 0, true),
    line('TTFT p95, ms', quantile(ttfts, 0.95), quantile(simulated.ttftsMs, 0.95), 0),
    line('whole answer p50, ms', quantile(totals, 0.5), quantile(simulated.totalsMs, 0.5), 0),
    line('whole answer p95, ms', quantile(totals, 0.95), quantile(simulated.totalsMs, 0.95), 0),
    line('requests answered', answers.length, simulated.done, 0),
    line('tokens written', sum(answers.map((one) => one.completionTokens)), simulated.tokens, 0),
    line('nodes, USD', nodeUsd(played.paid), nodeUsd(simulated.paid), 6, true),
    line(
      'settled, USD',
      sum(Object.values(played.settledUsd)),
      sum(Object.values(simulated.settledUsd)),
      6,
      true,
    ),
    ...clusters.flatMap(({ id }) => [
      line(`nodes of ${id}, USD`, nodeUsd(of(played.paid, id)), nodeUsd(of(simulated.paid, id)), 6),
      line(`settled by ${id}, USD`, played.settledUsd[id] ?? 0, simulated.settledUsd[id] ?? 0, 6),
      line(`answered by ${id}`, played.requests[id] ?? 0, simulated.requests[id] ?? 0, 0),
    ]),
  ];
}

const of = (paid: readonly Paid[], id: string): Paid[] => paid.filter(({ cluster }) => cluster === id);

/** Beyond this share of other work the machine was not quiet enough for the comparison to mean much. */
const othersMax = 0.05;

/** The figures, as Markdown. */
export function tableOf(
  { prefillTps, decodeTps, overheadMs, bootMs }: Calibration,
  { failures, answers, othersShare }: Played,
  differences: readonly Difference[],
): string {
  const figures = (values: readonly number[]) => values.map((value) => value.toFixed(1)).join(' | ');
  const others = othersShare === undefined ? 'unknown' : `${(othersShare * 100).toFixed(1)} %`;
  return [
    '| | real | simulated | difference | |',
    '|---|---:|---:|---:|---|',
    ...differences.map(rowOf),
    '',
    `Processor time that went to other work meanwhile: ${others}${(othersShare ?? 0) > othersMax ? ' (**not a quiet machine**: the speeds under the load were not those of the calibration)' : ''}.`,
    ...(failures.length === 0
      ? []
      : [
          `${failures.length} of ${answers.length} requests failed: ${[...new Set(failures)].slice(0, 3).join('; ')}`,
        ]),
    '',
    'Calibrated before the load, tokens per second of one llama.cpp:',
    '',
    '| at work | reads | writes 1 reply | 2 | 3 |',
    '|---:|---:|---:|---:|---:|',
    ...prefillTps.map(
      (tps, index) => `| ${index + 1} | ${tps.toFixed(1)} | ${figures(decodeTps[index] ?? [])} |`,
    ),
    '',
    `Around the prompt: ${overheadMs.toFixed(0)} ms. Start of a node: ${(bootMs / 1_000).toFixed(1)} s.`,
  ].join('\n');
}

function rowOf({ what, real, simulated, digits, by, met }: Difference): string {
  const difference = Number.isFinite(by) ? `${by >= 0 ? '+' : ''}${(by * 100).toFixed(1)} %` : '';
  const verdict = met === undefined ? '' : met ? `within ${goal * 100} %` : `**beyond ${goal * 100} %**`;
  return `| ${what} | ${real.toFixed(digits)} | ${simulated.toFixed(digits)} | ${difference} | ${verdict} |`;
}
