import { policy as policySchema } from '@drover/schemas';
import type { Measures } from './measure.ts';
import { studyPolicy } from './policies.ts';
import { type ClusterSpec, decodeAt } from './scenario.ts';
import { type Estimate, estimate } from './stats.ts';
import type { Result, Row } from './study.ts';
import { bars, clusterColours, lines, scatter } from './svg.ts';
import { promises, type Splice, tpotMaxMs } from './trace.ts';

type About = {
  readonly seeds: readonly number[];
  readonly splice: Splice;
  readonly source: string;
  readonly date: string;
};

const of = (row: Row, pick: (measures: Measures) => number): Estimate =>
  estimate(row.cells.map(({ measures }) => pick(measures)));

const show = ({ mean, half }: Estimate, digits: number, scale = 1): string =>
  `${(mean * scale).toFixed(digits)} ± ${(half * scale).toFixed(digits)}`;

function rowOf({ rows }: Result, id: string): Row {
  const row = rows.find(({ contender }) => contender.id === id);
  if (!row) throw new Error(`no policy ${id}`);
  return row;
}

/** Per seed, ours over the other's: pairs share their day, their prices and their losses. */
const ratio = (ours: Row, other: Row, pick: (measures: Measures) => number): Estimate =>
  estimate(
    ours.cells.map(({ measures }, index) => {
      const cell = other.cells[index];
      return cell ? pick(measures) / pick(cell.measures) : Number.NaN;
    }),
  );

const belowOrAbove = ({ mean, half }: Estimate): string =>
  mean >= 0 ? `${show({ mean, half }, 1)} % below` : `${show({ mean: -mean, half }, 1)} % above`;

const overBound = (row: Row, { bounds }: Result, bound: 'lpUsd' | 'keptUsd' = 'lpUsd'): Estimate =>
  estimate(row.cells.map(({ measures }, index) => measures.usd / (bounds[index]?.[bound] ?? Number.NaN)));

export function pageOf(results: readonly Result[], about: About): string {
  return [
    '# What each policy costs, and what it keeps',
    '',
    `Measured on ${about.date} by \`npm run sim:study\`. The same seeds give the same bytes, but for this line.`,
    '',
    ...setting(about),
    ...results.flatMap(sectionOf),
    ...reading(),
    '',
  ].join('\n');
}

function setting({ seeds, splice, source }: About): string[] {
  const hours = splice.kept.map((kept) => `1/${Math.round(1 / kept)}`).join(', ');
  return [
    'A discrete-event simulation (`test/sim/fleet`) runs the scheduler’s own planner, decision, ledger and wake-and-sleep',
    'rule against the policies below. Clusters are simulated: nodes share their time among their slots at rates that depend on',
    'how many are busy, and they boot, cost, and disappear. Nothing here was measured on a cloud.',
    '',
    `- **Load**: ${source}. Six hours one after another, of each of which this fraction of the requests is kept: ${hours}.`,
    `  Prompt tokens are divided by ${splice.promptDivisor}, output tokens by ${splice.outputDivisor}: the trace is of GPUs, the nodes are small CPUs.`,
    '  Tenants, priorities and sessions are drawn (they are not in the trace); 40 % of the requests go on with a session.',
    `- **Promise**: ${Object.entries(promises)
      .map(
        ([name, { share, ttftMaxMs, deadlineMs }]) =>
          `${name} (${share * 100} %): first token within ${ttftMaxMs / 1_000} s, all of it within ${deadlineMs / 1_000} s`,
      )
      .join(
        '; ',
      )}; at most ${tpotMaxMs} ms per token. Kept = done with all of that, out of all requests that came, the refused ones included.`,
    `- **Seeds**: ${seeds.join(', ')}; ± is the 95 % interval over them. Drover’s policy was tuned on seeds 101 to 106 only.`,
    '  An early run on seeds 1 and 2 showed fewer promises kept than by least queue in `spot`; the tuning was then repeated, on its own',
    '  seeds, towards more promises for more money.',
    '- **Autoscaling**: all baselines have the usual one per cluster (from zero, asked every 5 s, five minutes of stabilisation),',
    '  exact and current knowledge of queues, and requests that are lost are sent again. A cluster has at most four nodes.',
    '- **−**: Drover without one part. Without wake and sleep: one node of each cluster is always on, and the usual autoscaler adds',
    '  more. Without late binding: a cluster may be sent eight jobs more than it has slots.',
    '- **$/1K**: USD paid for nodes, from their start to their end, over 1,000 output tokens: those delivered, or those of kept promises. In thousandths (m$).',
    '- **× LP**: cost over a lower bound that knows everything beforehand and buys fractions of nodes (`bounds.ts`): what it takes',
    '  to answer everything by its deadline. The second program (`kept-bound.ts`) bounds only who keeps every promise.',
    '',
    'The policy, as a file (what is not named has its default):',
    '',
    '```json',
    JSON.stringify(studyPolicy),
    '```',
    '',
  ];
}

function sectionOf(result: Result): string[] {
  const { scenario, rows, bounds, requests } = result;
  return [
    `## Scenario \`${scenario.name}\`: ${scenario.about}`,
    '',
    '| cluster | node | slots | $/h | tokens/s, full | prompt tokens/s | boot | lost per hour |',
    '|---|---|---|---|---|---|---|---|',
    ...scenario.clusters.map(clusterLine),
    '',
    `${show(estimate(requests), 0)} requests. Lower bounds: $${show(estimate(bounds.map(({ fluidUsd }) => fluidUsd)), 3)} (fluid), $${show(estimate(bounds.map(({ lpUsd }) => lpUsd)), 3)} (linear program), $${show(estimate(bounds.map(({ keptUsd }) => keptUsd)), 3)} (the same for who keeps every promise).`,
    '',
    '| policy | kept % | done % | m$/1K delivered | m$/1K kept | × LP | first token p50, p95 (s) | busy % | booting % | cluster wakes/h | node starts/h | switches/1K | cached % |',
    '|---|---|---|---|---|---|---|---|---|---|---|---|---|',
    ...rows.map((row) => lineOf(row, result)),
    '',
    ...predictionLine(result),
    `![Cost and promises kept](policies/${scenario.name}-cost.svg)`,
    '',
    `![Where the money goes](policies/${scenario.name}-money.svg)`,
    '',
    `![Nodes over the day](policies/${scenario.name}-nodes.svg)`,
    '',
    '### Targets',
    '',
    '| target | measured | |',
    '|---|---|---|',
    ...targetsOf(result).map(
      ({ target, measured, met }) => `| ${target} | ${measured} | ${met ? 'met' : '**not met**'} |`,
    ),
    '',
    ...whyNot(result),
    '### What each part is worth',
    '',
    'The same without one part, seed by seed. A cost above × 1: the part saves money. A negative number of points: it keeps',
    'promises. Where the interval holds × 1 and 0, the part is worth nothing that this study can see.',
    '',
    '| without | cost | kept, in points |',
    '|---|---|---|',
    ...rows.filter(({ contender }) => contender.kind === 'ablation').map((row) => partLine(row, result)),
    '',
  ];
}

/** How far off the predicted time of an answer was, if its length had been known. */
function predictionLine(result: Result): string[] {
  const of = (id: string) => {
    const { cells } = rowOf(result, id);
    const at = (q: number) =>
      estimate(
        cells.map(
          ({ errors }) => 100 * (errors.toSorted((a, b) => a - b)[Math.floor(errors.length * q)] ?? 0),
        ),
      );
    return `${show(at(0.5), 1)} % (median), ${show(at(0.9), 1)} % (90th percentile)`;
  };
  return [
    `The time of an answer was predicted, for its true length, with an error of ${of('ours')}; without residuals ${of('-residual')}.`,
    '',
  ];
}

const clusterLine = (spec: ClusterSpec): string =>
  `| ${spec.name} | ${spec.instance}, ${spec.market} | ${spec.slots} | ${spec.usdPerHour}${spec.walk > 0 ? ` (walks; list price ${spec.listUsdPerHour})` : ''} | ${decodeAt(spec, spec.slots).toFixed(1)} | ${spec.prefillTps} | ${spec.bootMs / 1_000} s | ${spec.preemptPerHour} |`;

function lineOf(row: Row, result: Result): string {
  const cells = [
    row.contender.kind === 'ours' ? `**${row.contender.name}**` : row.contender.name,
    show(
      of(row, ({ attainment }) => attainment),
      2,
      100,
    ),
    of(row, ({ completed }) => completed * 100).mean.toFixed(2),
    show(
      of(row, ({ usdPer1kOutput }) => usdPer1kOutput),
      3,
      1_000,
    ),
    show(
      of(row, ({ usdPer1kKept }) => usdPer1kKept),
      3,
      1_000,
    ),
    show(overBound(row, result), 2),
    `${of(row, ({ ttftP50Ms }) => ttftP50Ms / 1_000).mean.toFixed(1)}, ${of(row, ({ ttftP95Ms }) => ttftP95Ms / 1_000).mean.toFixed(1)}`,
    of(row, ({ utilisation }) => utilisation * 100).mean.toFixed(0),
    of(row, ({ bootShare }) => bootShare * 100).mean.toFixed(1),
    of(row, ({ wakesPerHour }) => wakesPerHour).mean.toFixed(1),
    of(row, ({ startsPerHour }) => startsPerHour).mean.toFixed(1),
    of(row, ({ switchesPer1k }) => switchesPer1k).mean.toFixed(0),
    of(row, ({ cachedShare }) => cachedShare * 100).mean.toFixed(1),
  ];
  return `| ${cells.join(' | ')} |`;
}

type Target = { readonly target: string; readonly measured: string; readonly met: boolean };

function targetsOf(result: Result): Target[] {
  const ours = rowOf(result, 'ours');
  const leastQueue = rowOf(result, 'lq');
  const kept = of(ours, ({ attainment }) => attainment * 100);
  const keptThere = of(leastQueue, ({ attainment }) => attainment * 100);
  const cheaper = (id: string, pick: (measures: Measures) => number) => {
    const { mean, half } = ratio(ours, rowOf(result, id), pick);
    return { mean: (1 - mean) * 100, half: half * 100 };
  };
  const below = cheaper('lq', ({ usdPer1kOutput }) => usdPer1kOutput);
  const perDelivered = ({ usdPer1kOutput }: Measures) => usdPer1kOutput;
  const perKept = ({ usdPer1kKept }: Measures) => usdPer1kKept;
  const over = overBound(ours, result);
  const overKept = overBound(ours, result, 'keptUsd');
  const wakes = of(ours, ({ wakesPerHour }) => wakesPerHour);
  const starts = of(ours, ({ startsPerHour }) => startsPerHour);
  const earlier = (id: string, name: string): Target[] => [
    {
      target: `≥ 30 % below the earlier rule (${name}), per 1K delivered`,
      measured: belowOrAbove(cheaper(id, perDelivered)),
      met: cheaper(id, perDelivered).mean >= 30,
    },
    {
      target: `the same (${name}), per 1K of kept promises`,
      measured: belowOrAbove(cheaper(id, perKept)),
      met: cheaper(id, perKept).mean >= 30,
    },
  ];
  return [
    { target: 'promises kept ≥ 97 %', measured: `${show(kept, 2)} %`, met: kept.mean >= 97 },
    {
      target: 'realised $/1K ≥ 15 % below least queue, at no fewer promises kept',
      measured: `${belowOrAbove(below)}; ${kept.mean.toFixed(2)} against ${keptThere.mean.toFixed(2)} % kept`,
      met: below.mean >= 15 && kept.mean >= keptThere.mean,
    },
    ...earlier('earlier', 'constants'),
    ...earlier('earlier-ideal', 'idealised'),
    { target: '≤ 1.4 × the LP bound', measured: show(over, 2), met: over.mean <= 1.4 },
    {
      target: 'the same over the LP bound for who keeps every promise',
      measured: show(overKept, 2),
      met: overKept.mean <= 1.4,
    },
    {
      target: '≤ 6 wakes/h, counted in clusters woken from zero',
      measured: show(wakes, 1),
      met: wakes.mean <= 6,
    },
    { target: 'the same, counted in nodes started', measured: show(starts, 1), met: starts.mean <= 6 },
  ];
}

/** Reasons for the targets that are missed, as far as the figures carry them. */
function whyNot(result: Result): string[] {
  const missed = targetsOf(result).filter(({ met }) => !met);
  if (missed.length === 0) return [];
  const ours = rowOf(result, 'ours');
  const oracle = rowOf(result, 'oracle');
  const busy = of(ours, ({ utilisation }) => utilisation * 100).mean.toFixed(0);
  const booting = of(ours, ({ bootShare }) => bootShare * 100).mean.toFixed(0);
  const earlierKept = of(rowOf(result, 'earlier'), ({ attainment }) => attainment * 100).mean.toFixed(0);
  const reasons = [
    [
      'earlier rule',
      `The earlier rule keeps ${earlierKept} % of its promises: it fills one cluster to the brim and lets the rest wait past their deadlines, and a full node is the cheapest node per token that it does deliver. Per delivered token that is hard to undercut; the comparison per kept promise is the one that says what its users got.`,
    ],
    [
      'LP bound',
      `The bound buys fractions of nodes for fractions of minutes, never waits for a boot that it did not foresee and fills every slot. Whole nodes, kept ready for bursts that must start within ten seconds, were busy ${busy} % of the paid time and booting ${booting} %. Even the clairvoyant policy with whole nodes is at ${show(overBound(oracle, result), 2)}. A program that also asks for each promise's own limits and each node's own boot (\`kept-bound.ts\`) is hardly higher; what is left is whole nodes, and not knowing.`,
    ],
    [
      'nodes started',
      `The day doubles at each of its first hours and the fleet follows with whole nodes up and down${result.scenario.clusters.some(({ preemptPerHour }) => preemptPerHour > 0) ? '; nodes that are taken away are replaced, those of the cluster that is out are tried again, and the cheapest cluster has nodes of two slots, so that it takes twice as many' : ''}. Clusters as a whole are woken less often than nodes.`,
    ],
  ];
  return [
    'Why not:',
    '',
    ...reasons
      .filter(([about]) => missed.some(({ target }) => target.includes(about ?? '')))
      .map(([, why]) => `- ${why}`),
    '',
  ];
}

function partLine(row: Row, result: Result): string {
  const ours = rowOf(result, 'ours');
  const cost = ratio(row, ours, ({ usdPer1kOutput }) => usdPer1kOutput);
  const kept = estimate(
    row.cells.map(({ measures }, index) => {
      const cell = ours.cells[index];
      return cell ? (measures.attainment - cell.measures.attainment) * 100 : Number.NaN;
    }),
  );
  return `| ${row.contender.name} | × ${show(cost, 3)} | ${show(kept, 2)} |`;
}

function reading(): string[] {
  const { scaling } = policySchema.parse(studyPolicy);
  return [
    '## Reading this',
    '',
    '- Idle and boot time is the largest cost of every policy that keeps its promises; that is why wake and sleep is worth more',
    '  than any other part, and why a router without it cannot be cheap.',
    '- “Least queue with Drover’s wake and sleep” separates the two: what is left between it and Drover is the routing.',
    '- What a part is worth depends on the fleet. Where clusters differ little, or only one is awake, a scorer has nothing to choose.',
    '- Speeds are assumptions about a small model on so many virtual CPUs; prices of `spot` are published points of one moment,',
    '  their walk is invented. The promise is invented too, and the same for all.',
    '- The simulated agents report exact rates. Real ones measure them, with noise.',
    `- Scaling rules in force: ${JSON.stringify(scaling)}.`,
  ];
}

/** File name → SVG. */
export function plotsOf(results: readonly Result[]): Map<string, string> {
  const plots = new Map<string, string>();
  for (const result of results) {
    const { scenario, rows } = result;
    const shown = rows.filter(({ contender }) => contender.kind !== 'ablation' || contender.id === '-wake');
    plots.set(
      `${scenario.name}-cost.svg`,
      scatter(
        `Scenario ${scenario.name}: cost and promises kept (up and left is better)`,
        'USD per million output tokens delivered',
        'promises kept, %',
        shown.map((row) => ({
          label: row.contender.name,
          kind: row.contender.kind,
          x: of(row, ({ usdPer1kOutput }) => usdPer1kOutput * 1_000).mean,
          y: of(row, ({ attainment }) => attainment * 100).mean,
        })),
      ),
    );
    plots.set(
      `${scenario.name}-money.svg`,
      bars(
        `Scenario ${scenario.name}: USD of the day, by cluster`,
        scenario.clusters.map(({ name }) => name),
        clusterColours,
        shown.map((row) => ({
          label: row.contender.name,
          parts: scenario.clusters.map(
            (_, index) => estimate(row.cells.map(({ run }) => run.bills[index]?.usd ?? 0)).mean,
          ),
        })),
      ),
    );
    const [first] = rowOf(result, 'ours').cells;
    const series = first?.run.series ?? [];
    plots.set(
      `${scenario.name}-nodes.svg`,
      lines(`Scenario ${scenario.name}: Drover’s nodes and the busy slots, seed ${first?.seed}`, 'hours', 6, [
        ...scenario.clusters.map(({ name }, index) => ({
          name: `nodes at ${name}`,
          colour: clusterColours[index] ?? '#333',
          values: series.map(({ nodes }) => nodes[index] ?? 0),
        })),
        { name: 'busy slots', colour: '#bbb', values: series.map(({ busySlots }) => busySlots) },
      ]),
    );
  }
  return plots;
}
