import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { createRegistry } from '@drover/runtime';
import { failures } from '@drover/schemas';
import { parse } from 'yaml';
import { z } from 'zod';
import { createMetrics as agentMetrics } from '../../apps/agent/src/metrics.ts';
import { createMetrics as ingressMetrics } from '../../apps/ingress/src/metrics.ts';
import { createMetrics as schedulerMetrics } from '../../apps/scheduler/src/metrics.ts';
import { dashboards, jsonOf } from '../../charts/observability/src/dashboards.ts';
import { projectRoot } from '../../infra/local/src/parts.ts';
import { render, resourcesOf, variants } from './support/charts.ts';
import { ensureTools, must, run, tools } from './support/tools.ts';

const chart = join(projectRoot, 'charts/observability');
const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const rule = z.looseObject({ record: z.string().optional(), alert: z.string().optional(), expr: z.string() });
const ruleFile = z.object({ groups: z.array(z.object({ name: z.string(), rules: z.array(rule) })) });
const ruleTests = ['rules_test.yaml', 'cost_spike_test.yaml'] as const;
const rulesText = read('charts/observability/files/rules.yaml');
const rules = ruleFile.parse(parse(rulesText)).groups.flatMap((group) => group.rules);
const alerts = rules.flatMap(({ alert }) => (alert === undefined ? [] : [alert]));

before(ensureTools);

test('promtool accepts the rules, and every test of them passes', async () => {
  await must(tools.promtool, ['check', 'rules', join(chart, 'files/rules.yaml')]);
  for (const file of ruleTests) await must(tools.promtool, ['test', 'rules', join(chart, 'tests', file)]);
});

test('every alert is seen firing in a test', () => {
  const tests = ruleTests.flatMap((file) => parse(read(`charts/observability/tests/${file}`)).tests);
  const fired = new Set<string>();
  for (const { alert_rule_test: checks = [] } of tests)
    for (const { alertname, exp_alerts: expected } of checks) if (expected.length > 0) fired.add(alertname);
  assert.deepEqual([...fired].sort(), [...alerts].sort());
});

test('a rule that says something else fails the tests of the rules', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'drover-rules-'));
  try {
    const faults = [
      ['14.4 * 0.005', '14.4 * 0.5'],
      ['== 2', '== 3'],
      ['* 24 >', '* 12 >'],
    ] as const;
    for (const [right, wrong] of faults) {
      assert.ok(rulesText.includes(right), right);
      writeFileSync(join(folder, 'rules.yaml'), rulesText.replaceAll(right, wrong));
      const tests = read('charts/observability/tests/rules_test.yaml').replace(
        '../files/rules.yaml',
        'rules.yaml',
      );
      writeFileSync(join(folder, 'rules_test.yaml'), tests);
      const { ok } = await run(tools.promtool, ['test', 'rules', join(folder, 'rules_test.yaml')]);
      assert.ok(!ok, `${right} → ${wrong} goes unnoticed`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the rules of the chart are those that were tested, and the budget, each alert with its runbook', async () => {
  const variant = variants.find(({ name }) => name === 'observability aws prod') ?? assert.fail();
  const rendered = resourcesOf(await render(variant)).find(({ kind }) => kind === 'PrometheusRule');
  const [settings, ...groups] = ruleFile.parse(rendered?.spec).groups;
  assert.deepEqual(settings?.rules, [{ record: 'drover:budget_usd_per_day', expr: 'vector(200)' }]);
  const shipped = groups.flatMap((group) => group.rules);
  assert.deepEqual(
    shipped.map(({ expr }) => expr),
    rules.map(({ expr }) => expr),
  );
  for (const { alert, annotations } of shipped)
    if (alert)
      assert.match(Object(annotations).runbook_url, new RegExp(`docs/runbooks\\.md#${alert.toLowerCase()}$`));
});

test('what counts as our fault is exactly what is answered with 5xx', () => {
  const ours = Object.entries(failures)
    .filter(([, { http }]) => http >= 500)
    .map(([code]) => code);
  const selectors = [...rulesText.matchAll(/code=~"([^"]+)"/g)].map(([, codes = '']) => codes.split('|'));
  assert.equal(selectors.length, 4);
  for (const codes of selectors) assert.deepEqual(codes.sort(), [...ours].sort());
});

test('every alert has a runbook, and every runbook an alert', () => {
  const headings = [...read('docs/runbooks.md').matchAll(/^## (Drover\w+)$/gm)].map(
    (match) => match[1] ?? '',
  );
  assert.deepEqual(headings.sort(), [...alerts].sort());
});

test('the dashboards are those that are committed', () => {
  for (const name of ['cost', 'fleet', 'latency', 'reliability'] as const)
    assert.ok(
      read(`charts/observability/files/dashboards/${name}.json`) === jsonOf(name),
      `${name}.json is old: run npm run deploy:generate`,
    );
});

/** Series that the processes export, with their labels; histograms have three names each. */
async function exported(): Promise<Map<string, Set<string>>> {
  const registries = [
    createRegistry('agent'),
    createRegistry('ingress'),
    createRegistry('scheduler'),
  ] as const;
  agentMetrics(registries[0]);
  ingressMetrics(registries[1]);
  schedulerMetrics(registries[2]);
  const series = new Map<string, Set<string>>();
  for (const registry of registries)
    for (const metric of registry.getMetricsAsArray()) {
      const { name, type, labelNames } = z
        .object({
          name: z.string(),
          type: z.string().optional(),
          labelNames: z.array(z.string()).default([]),
        })
        .parse({ ...metric, type: String(Object(metric).type ?? '') });
      // prom-client tells the type of a histogram by its buckets only.
      const histogram = type === 'histogram' || 'upperBounds' in Object(metric);
      // What Prometheus adds when it scrapes.
      const labels = new Set([...labelNames, 'cluster', 'pod', ...(histogram ? ['le'] : [])]);
      for (const full of histogram ? ['_bucket', '_sum', '_count'].map((end) => name + end) : [name])
        series.set(full, labels);
    }
  return series;
}

/** Names of series and the labels that an expression asks of each. */
const asked = (expr: string) =>
  [...expr.matchAll(/(drover[_:][\w:]+)(?:\{([^}]*)\})?/g)].map(([, name = '', match = '']) => ({
    name,
    labels: [...match.matchAll(/(\w+)\s*(?:=~|!=|!~|=)/g)].map(([, label = '']) => label),
  }));

test('every metric in a rule or a panel is exported by an app, with the labels it is asked for', async () => {
  const series = await exported();
  const recorded = new Set([...rules.flatMap(({ record }) => record ?? []), 'drover:budget_usd_per_day']);
  const panels = Object.values(dashboards).flatMap(({ panels = [] }) => panels);
  const queries = panels.flatMap(
    (panel) => z.looseObject({ targets: z.array(z.looseObject({ expr: z.string() })) }).parse(panel).targets,
  );
  assert.ok(queries.length > 50);
  for (const { expr } of [...rules, ...queries])
    for (const { name, labels } of asked(expr)) {
      if (recorded.has(name)) continue;
      const known = series.get(name) ?? assert.fail(`nobody exports ${name}: ${expr}`);
      for (const label of labels) assert.ok(known.has(label), `${name} has no label ${label}: ${expr}`);
    }
  assert.throws(() =>
    asked('sum(drover_nobody_total)').map(({ name }) => series.get(name) ?? assert.fail(name)),
  );
});

test('KEDA asks the scheduler for metrics that it exports', async () => {
  const series = await exported();
  const variant = variants.find(({ name }) => name === 'llm-server aws prod prometheus') ?? assert.fail();
  const scaled = resourcesOf(await render(variant)).find(({ kind }) => kind === 'ScaledObject');
  const queries = Object(scaled?.spec).triggers.map(
    ({ metadata }: { metadata: { query: string } }) => metadata.query,
  );
  assert.equal(queries.length, 2);
  for (const { name, labels } of queries.flatMap(asked)) {
    const known = series.get(name) ?? assert.fail(name);
    for (const label of labels) assert.ok(known.has(label), `${name} has no label ${label}`);
  }
});
