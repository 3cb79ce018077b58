import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { projectRoot } from '../../../infra/local/src/parts.ts';
import { clouds, environments } from '../../../infra/src/spec.ts';
import { must, run, tools } from './tools.ts';
import { kubernetes } from './versions.ts';

export const chartsDir = join(projectRoot, 'charts');
export const charts = readdirSync(chartsDir)
  .filter((name) => existsSync(join(chartsDir, name, 'Chart.yaml')))
  .sort();

/** Images get their digests from the pipeline; a rendered chart here has this one. */
export const madeUpDigest = `sha256:${'a'.repeat(64)}`;

/** A way to render a chart: which of its values files, and what the deployment adds. */
export type Variant = { readonly chart: string; readonly name: string; readonly args: readonly string[] };

const set = (...pairs: readonly string[]) => pairs.flatMap((pair) => ['--set', pair]);

const needed: Readonly<Record<string, readonly string[]>> = {
  'llm-server': set(
    'cluster=aws-us-east-1',
    `image.agent.digest=${madeUpDigest}`,
    `image.llama.digest=${madeUpDigest}`,
    `gpu.image.digest=${madeUpDigest}`,
  ),
  router: set(
    'clusters={aws-us-east-1,gcp-us-central1}',
    `image.ingress.digest=${madeUpDigest}`,
    `image.scheduler.digest=${madeUpDigest}`,
    `image.prices.digest=${madeUpDigest}`,
  ),
  observability: [],
};

/** A source of each kind. */
const pricesFrom = {
  a: { feeder: 'aws-spot', region: 'us-east-1', instanceType: 't3.large' },
  g: { feeder: 'gcp-catalogue', region: 'us-central1', instanceType: 'n1-standard-2', market: 'spot' },
  z: { feeder: 'azure-retail', region: 'eastus', instanceType: 'Standard_D2s_v3', market: 'spot' },
  f: { feeder: 'file', file: '/prices/tariffs.json' },
};

/** Values that no file sets, each rendered once. */
const extras: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'llm-server': {
    shared: set('cache.kind=shared', 'cache.claim.storageClassName=rwx'),
    prometheus: set(
      'autoscaling.trigger=prometheus',
      'autoscaling.prometheus.serverAddress=https://prometheus.example.org',
      'autoscaling.prometheus.authSecret=hub-prometheus',
    ),
    fixed: set(
      'autoscaling.enabled=false',
      'monitoring.enabled=false',
      'spot.enabled=false',
      'nats.caSecret=',
    ),
  },
  router: {
    public: set('ingress.host=api.example.org', 'ingress.hmacKeysSecret=drover-hmac-keys'),
    prices: [
      ...set('prices.enabled=true', 'prices.gcpApiKeySecret.name=gcp-billing'),
      ...['--set-json', `prices.plan.clusters=${JSON.stringify(pricesFrom)}`],
    ],
    plain: set('monitoring.enabled=false', 'scheduler.autoscaling.enabled=true', 'nats.caSecret='),
  },
  observability: { labelled: set('rules.labels.release=kps') },
};

const values = (chart: string, name: string): string[] => {
  const file = join(chartsDir, chart, `values/${name}.yaml`);
  return existsSync(file) ? ['--values', file] : [];
};

const variant = (chart: string, names: readonly string[], args: readonly string[] = []): Variant => ({
  chart,
  name: [chart, ...names].join(' '),
  args: [...names.flatMap((name) => values(chart, name)), ...(needed[chart] ?? []), ...args],
});

/** Every chart × cloud × environment; llm-server with a GPU too, and as the agent of a provider. */
export const matrix: readonly Variant[] = charts.flatMap((chart) =>
  clouds.flatMap((cloud) =>
    environments.flatMap((environment) => [
      variant(chart, [cloud, environment]),
      ...(chart === 'llm-server'
        ? [variant(chart, [cloud, environment, 'gpu']), variant(chart, [cloud, environment, 'openai'])]
        : []),
    ]),
  ),
);

/** The matrix, and one variant for each of the values that no file sets. */
export const variants: readonly Variant[] = [
  ...matrix,
  ...Object.entries(extras).flatMap(([chart, more]) =>
    Object.entries(more).map(([name, args]) => variant(chart, ['aws', 'prod', name], args)),
  ),
];

const template = (chart: string, args: readonly string[]) => [
  'template',
  'drover',
  join(chartsDir, chart),
  '--namespace',
  'drover',
  '--kube-version',
  kubernetes,
  ...args,
];

/** The manifest of a chart. @throws with helm's words */
export const render = ({ chart, args }: Variant): Promise<string> => must(tools.helm, template(chart, args));

/** Whether a chart can be rendered with these arguments after those that it needs, and what helm says. */
export const tryRender = (chart: string, args: readonly string[]) =>
  run(tools.helm, template(chart, [...(needed[chart] ?? []), ...args]));

export const lint = ({ chart, args }: Variant) =>
  run(tools.helm, ['lint', '--strict', '--kube-version', kubernetes, join(chartsDir, chart), ...args]);

const resource = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});
export type Resource = z.infer<typeof resource>;

/** The resources of a manifest. */
export const resourcesOf = (manifest: string): Resource[] =>
  parseAllDocuments(manifest)
    .map((document): unknown => document.toJSON())
    .filter((value) => value !== null)
    .map((value) => resource.parse(value));

/** Two at a time: there are two cores, and each render is a process. */
export async function eachOf<T>(items: readonly T[], visit: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await visit(item);
  };
  await Promise.all([worker(), worker()]);
}
