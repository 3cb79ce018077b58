import { table } from '../table.ts';
import type { Comparison, ExperimentReport, Figure, MetricName, ShadowReport } from './report.ts';

/** Fewer windows than this, and the interval itself is uncertain. */
const fewClusters = 10;

/** Without the sign that a hair below zero leaves. */
const whole = (value: number): string => String(Math.round(value) || 0);

const columns: readonly { name: MetricName; title: string; show: (value: number) => string }[] = [
  { name: 'kept', title: 'in time', show: (value) => `${(value * 100).toFixed(1)} %` },
  { name: 'settledUsdPer1k', title: 'settled $/1K', show: (value) => value.toPrecision(3) },
  { name: 'realisedUsdPer1k', title: 'realised $/1K', show: (value) => value.toPrecision(3) },
  { name: 'ttftMs', title: 'TTFT ms', show: whole },
  { name: 'predictedTtftMs', title: 'predicted', show: whole },
  { name: 'totalMs', title: 'total ms', show: whole },
  { name: 'predictedTotalMs', title: 'predicted', show: whole },
];

/** Pure. The report for people. */
export function pageOf({ comparisons, shadows }: ExperimentReport): string {
  const parts = [...comparisons.map(comparisonPage), ...shadows.map(shadowPage)];
  return parts.length > 0 ? parts.join('\n\n') : 'Nothing was tried in this time.';
}

function comparisonPage({ kind, name, groups, burnIn, tooLate }: Comparison): string {
  const [what, unit] = kind === 'switchback' ? ['policy', 'windows'] : ['model', 'users'];
  const [first, ...others] = groups;
  const heading = [what, unit, 'requests', 'done', 'tokens', '$', ...columns.map(({ title }) => title)];
  const rows = groups.map((group) => [
    group.name,
    String(group.clusters),
    String(group.requests),
    String(group.done),
    String(group.outputTokens),
    group.usd.toPrecision(3),
    ...columns.map((column) => cell(group.figures[column.name], column.show)),
  ]);
  const differences = others.map((group) => [
    `${group.name} − ${first?.name ?? ''}`,
    ...['', '', '', '', ''],
    ...columns.map((column) => cell(group.difference[column.name], column.show)),
  ]);
  const few = groups.some(({ clusters }) => clusters < fewClusters);
  return [
    kind === 'switchback' ? `Experiment ${name}: policies in turns` : `Variants of ${name}`,
    table(heading, [...rows, ...differences]),
    `In brackets: 95 % by bootstrap over ${unit}.${few ? ` With fewer than ${fewClusters} ${unit} it is too narrow.` : ''}`,
    ...(tooLate.length > 0
      ? [
          `Too often late in the last three windows, by more than 2 points: ${tooLate.join(', ')}. Think of \`drover experiment stop\`.`,
        ]
      : []),
    ...(burnIn > 0 ? [`${burnIn} requests of burn-in times are not counted.`] : []),
  ].join('\n');
}

function cell(figure: Figure | undefined, show: (value: number) => string): string | undefined {
  if (!figure) return undefined;
  const { value, interval } = figure;
  return interval ? `${show(value)} [${show(interval.low)}, ${show(interval.high)}]` : show(value);
}

function shadowPage(shadow: ShadowReport): string {
  const { experiment, policy, decisions, agreed, errors, usd, usdMore, ttftMoreMs, moves } = shadow;
  const share = decisions === 0 ? '–' : `${((agreed / decisions) * 100).toFixed(1)} %`;
  const relative = usd > 0 ? ` (${signed((usdMore / usd) * 100, 1)} %)` : '';
  return [
    `Experiment ${experiment}: ${policy} as a shadow, which decided nothing`,
    `${decisions} decisions, the same in ${agreed} (${share}); it failed ${errors} times.`,
    `By the estimates of the policy in force it would have cost $${usdMore.toPrecision(3)} more than $${usd.toPrecision(3)}${relative}${
      ttftMoreMs === undefined
        ? ''
        : `, with first tokens ${Math.abs(ttftMoreMs).toFixed(0)} ms ${ttftMoreMs < 0 ? 'earlier' : 'later'}`
    }.`,
    ...(moves.length > 0
      ? [
          table(
            ['was', 'shadow', 'decisions'],
            moves.map(({ real, would, decisions: count }) => [real, would, String(count)]),
          ),
        ]
      : []),
  ].join('\n');
}

const signed = (value: number, digits: number): string => `${value < 0 ? '' : '+'}${value.toFixed(digits)}`;
