import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { localClusters } from '../../infra/local/src/clusters.ts';
import { ensureNatsServer, projectRoot } from '../../infra/local/src/parts.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';
import { ask, atRate, concurrently, quantile, type Sample, type Target, targetOf } from './load.ts';

/** What Drover adds to a request: the same load straight to a fake llama.cpp and through the whole system. */
const { values: flags } = parseArgs({
  options: {
    /** Clusters, each with one agent and one fake llama.cpp. */
    clusters: { type: 'string', default: '1' },
    /** Slots of each. */
    slots: { type: 'string', default: '16' },
    /** Multiplies how long each measurement takes. */
    scale: { type: 'string', default: '1' },
    out: { type: 'string', default: join(projectRoot, 'docs/benchmarks/overhead.md') },
  },
});
const scale = Number(flags.scale);
const slots = Number(flags.slots);
const clusters = localClusters.slice(0, Number(flags.clusters)).map((cluster) => ({ ...cluster, slots }));
const goals = { ttftP50Ms: 5, ttftP99Ms: 20, streamsPerSecond: 600 };
const tokens = 32;
const concurrency = 16;
const natsVersion = execFileSync(await ensureNatsServer(() => {}), ['--version'], {
  encoding: 'utf8',
}).trim();

type Figures = {
  readonly ttftP50Ms: number;
  readonly ttftP99Ms: number;
  readonly streamsPerSecond: number;
  readonly tokensPerSecond: number;
  readonly wholePerSecond: number;
  readonly samples: readonly Sample[];
  readonly cpuSeconds: Readonly<Record<string, number>>;
};

await using system = await startTestSystem({ clusters, backend: 'fake' });
const direct = targetOf(system.llamaUrl(clusters[0]?.id ?? ''), 'none');
const drover = targetOf(system.url, system.apiKey);
const atRest = rss(system);
const straight = await measure(direct);
const through = await measure(drover);
const text = report(straight, through, atRest, rss(system), await inside(system));
console.log(text);
mkdirSync(dirname(flags.out), { recursive: true });
writeFileSync(flags.out, text);
direct.agent.destroy();
drover.agent.destroy();

async function measure(target: Target): Promise<Figures> {
  const stream = () => ask(target, { stream: true, tokens });
  const whole = () => ask(target, { stream: false, tokens });
  await concurrently(concurrency, 2 * scale, stream);
  const paced = await atRate(20, 10 * scale, stream);
  const before = cpuSeconds(system);
  const streams = await concurrently(concurrency, 10 * scale, stream);
  const after = cpuSeconds(system);
  const wholes = await concurrently(concurrency, 5 * scale, whole);
  const ttfts = paced.map(({ ttftMs }) => ttftMs);
  return {
    ttftP50Ms: quantile(ttfts, 0.5),
    ttftP99Ms: quantile(ttfts, 0.99),
    streamsPerSecond: streams.samples.length / streams.seconds,
    tokensPerSecond: streams.samples.reduce((sum, sample) => sum + sample.tokens, 0) / streams.seconds,
    wholePerSecond: wholes.samples.length / wholes.seconds,
    samples: paced,
    cpuSeconds: Object.fromEntries(
      Object.entries(after).map(([name, at]) => [name, (at - (before[name] ?? 0)) / streams.seconds]),
    ),
  };
}

/** Resident memory in MiB, by process. */
function rss({ pids }: TestSystem): Record<string, number> {
  return mapValues(pids(), (pid) => Number(/VmRSS:\s+(\d+)/.exec(procFile(pid, 'status'))?.[1] ?? 0) / 1_024);
}

/** Processor time used so far, by process, with the load generator. Linux counts it in hundredths of a second. */
function cpuSeconds({ pids }: TestSystem): Record<string, number> {
  return mapValues({ ...pids(), 'load generator': process.pid }, (pid) => {
    const [user, kernel] = procFile(pid, 'stat')
      .replace(/^.*\) /, '')
      .split(' ')
      .slice(11, 13)
      .map(Number);
    return ((user ?? 0) + (kernel ?? 0)) / 100;
  });
}

function procFile(pid: number, name: string): string {
  return readFileSync(`/proc/${pid}/${name}`, 'utf8');
}

function mapValues(record: Record<string, number>, map: (value: number) => number): Record<string, number> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}

/** Means of what the processes measured themselves, over the whole run, in ms. */
async function inside({ metricsUrl }: TestSystem): Promise<[string, number][]> {
  const [ingress, scheduler, agent] = await Promise.all(
    [metricsUrl.ingress, metricsUrl.scheduler, metricsUrl.agent(clusters[0]?.id ?? '')].map(async (url) =>
      (await fetch(`${url}/metrics`)).text(),
    ),
  );
  const mean = (metrics = '', name: string): number =>
    total(metrics, `${name}_sum`) / total(metrics, `${name}_count`);
  return [
    ['ingress: arrival to PubAck of the request', 1_000 * mean(ingress, 'drover_ingress_accept_seconds')],
    [
      'scheduler: stored to job published (queue wait)',
      1_000 * mean(scheduler, 'drover_scheduler_queue_wait_seconds'),
    ],
    ['scheduler: one decision', 1_000 * mean(scheduler, 'drover_scheduler_decision_seconds')],
    ['agent: receipt of the job to first token', 1_000 * mean(agent, 'drover_agent_ttft_seconds')],
    [
      'agent: receipt of the job to committed outcome',
      1_000 * mean(agent, 'drover_agent_job_duration_seconds'),
    ],
    ['ingress: arrival to first unit', 1_000 * mean(ingress, 'drover_ingress_ttft_seconds')],
  ];
}

/** Sum of a metric over its labels. */
function total(metrics: string, name: string): number {
  return metrics
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

function report(
  straight: Figures,
  through: Figures,
  before: Record<string, number>,
  after: Record<string, number>,
  parts: [string, number][],
): string {
  const addedP50 = through.ttftP50Ms - straight.ttftP50Ms;
  const addedP99 = through.ttftP99Ms - straight.ttftP99Ms;
  const header = (pick: (sample: Sample) => number | undefined) => {
    const values = through.samples.flatMap((sample) => pick(sample) ?? []);
    return `p50 ${one(quantile(values, 0.5))} ms, p99 ${one(quantile(values, 0.99))} ms (${values.length} of ${through.samples.length} answers)`;
  };
  const row = (name: string, a: number, b: number) =>
    `| ${name} | ${one(a)} | ${one(b)} | ${(b / a).toFixed(2)} |`;
  const verdict = (met: boolean) => (met ? 'met' : 'missed');
  return `# What Drover adds

Written by \`npm run bench:overhead\`; [how it measures](../../test/bench/README.md).

- ${new Date().toISOString().slice(0, 16)}Z, ${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} processors, ${Math.round(totalmem() / 2 ** 30)} GiB
- Node ${process.version}, ${natsVersion}, clusters: ${clusters.length}, slots each: ${slots}
- Load generator, fake llama.cpp, nats-server and every app share these processors.

| | direct | through Drover | ratio |
|---|---:|---:|---:|
${row('TTFT p50 at 20 requests/s, ms', straight.ttftP50Ms, through.ttftP50Ms)}
${row('TTFT p99 at 20 requests/s, ms', straight.ttftP99Ms, through.ttftP99Ms)}
${row(`streams/s of ${tokens} tokens, ${concurrency} at once`, straight.streamsPerSecond, through.streamsPerSecond)}
${row('tokens/s of those streams', straight.tokensPerSecond, through.tokensPerSecond)}
${row(`requests/s without streaming, ${concurrency} at once`, straight.wholePerSecond, through.wholePerSecond)}

| goal | figure | |
|---|---:|---|
| added TTFT p50 ≤ ${goals.ttftP50Ms} ms | ${one(addedP50)} ms | ${verdict(addedP50 <= goals.ttftP50Ms)} |
| added TTFT p99 ≤ ${goals.ttftP99Ms} ms | ${one(addedP99)} ms | ${verdict(addedP99 <= goals.ttftP99Ms)} |
| ≥ ${goals.streamsPerSecond} streams/s | ${one(through.streamsPerSecond)} | ${verdict(through.streamsPerSecond >= goals.streamsPerSecond)} |

Added TTFT is the difference of the quantiles, not a quantile of differences.

## Where the time goes

Response headers of the paced requests: queue ${header(({ queueMs }) => queueMs)}; overhead ${header(({ overheadMs }) => overheadMs)}.

| measured by the processes (mean of the whole run, with the saturated parts) | ms |
|---|---:|
${parts.map(([name, ms]) => `| ${name} | ${ms.toFixed(2)} |`).join('\n')}

## Processes

Share of one processor is taken during the streams through Drover.

| process | RSS at rest, MiB | RSS after, MiB | processors |
|---|---:|---:|---:|
${Object.keys(through.cpuSeconds)
  .map(
    (name) =>
      `| ${name} | ${memory(before[name])} | ${memory(after[name])} | ${(through.cpuSeconds[name] ?? 0).toFixed(2)} |`,
  )
  .join('\n')}
`;
}

function one(value: number): string {
  return value.toFixed(1);
}

function memory(mib: number | undefined): string {
  return mib === undefined ? '' : mib.toFixed(0);
}
