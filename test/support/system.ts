import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Catalogue, PolicyInput, Tariff } from '@drover/schemas';
import { isFree } from '../../infra/local/src/checks.ts';
import {
  contextTokens,
  type LocalCluster,
  localClusters,
  localModel,
} from '../../infra/local/src/clusters.ts';
import { ensureLlama, ensureNatsServer, projectRoot } from '../../infra/local/src/parts.ts';
import { type AppName, type Env, llamaCommand } from '../../infra/local/src/plan.ts';
import type { Ports } from '../../infra/local/src/ports.ts';
import { type System, startSystem } from '../../infra/local/src/system.ts';

export type TestSystemOptions = {
  /** Default: the three of a local run. */
  readonly clusters?: readonly LocalCluster[];
  /** `fake` answers at once, in a process of its own (fake-llama.ts); `llama` is the real one. */
  readonly backend?: 'fake' | 'llama';
  /** Further flags of fake-llama.ts, e.g. `['--token-ms', '20']`. */
  readonly fakeFlags?: (cluster: LocalCluster) => readonly string[];
  /** Start parts again that end by themselves. Default: no, the test decides. */
  readonly restart?: boolean;
  /** Further environment of each app. */
  readonly env?: Partial<Record<AppName, Env>>;
  readonly policy?: PolicyInput;
  readonly models?: Catalogue;
  readonly prices?: Readonly<Record<string, Tariff>>;
  /** Kept when given, so that a second system can start on it; else a folder that goes with the system. */
  readonly stateDir?: string;
  readonly say?: (line: string) => void;
};

export type TestSystem = System & { readonly stateDir: string };

/** A whole Drover on free ports, with a state folder of its own; stopped with `await using`. */
export async function startTestSystem(options: TestSystemOptions = {}): Promise<TestSystem> {
  const clusters = options.clusters ?? localClusters;
  const stateDir = options.stateDir ?? mkdtempSync(join(tmpdir(), 'drover-system-'));
  const ignore = () => {};
  const system = await startSystem({
    stateDir,
    clusters,
    ports: await freePorts(clusters.length),
    external: { llamaUrls: {} },
    seeds: writeSeeds(stateDir, clusters, options),
    natsServer: () => ensureNatsServer(ignore),
    backend: options.backend === 'llama' ? realLlama : (cluster, port) => fakeLlama(cluster, port, options),
    restart: options.restart ?? false,
    agents: options.backend === 'llama' ? 'one-by-one' : 'together',
    ...(options.env === undefined ? {} : { env: options.env }),
    say: options.say ?? ignore,
  });
  return {
    ...system,
    stateDir,
    [Symbol.asyncDispose]: async () => {
      await system[Symbol.asyncDispose]();
      if (options.stateDir === undefined) rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

const realLlama = async (cluster: LocalCluster, port: number) =>
  llamaCommand(await ensureLlama(() => {}), cluster, port);

const fakeLlama = async (cluster: LocalCluster, port: number, options: TestSystemOptions) => [
  process.execPath,
  join(projectRoot, 'test/support/fake-llama.ts'),
  ...['--port', String(port), '--slots', String(cluster.slots)],
  ...(options.fakeFlags?.(cluster) ?? []),
];

/** Free ports for a system of so many clusters, in one row. */
export async function freePorts(clusters: number): Promise<Ports> {
  const count = 5 + 2 * clusters;
  while (true) {
    const first = range.from + Math.floor(Math.random() * (range.to - range.from));
    const row = Array.from({ length: count }, (_, index) => first + index);
    if ((await Promise.all(row.map(isFree))).every(Boolean)) return portsFrom(first, clusters);
  }
}

const portsFrom = (first: number, clusters: number): Ports => {
  const several = (from: number) => Array.from({ length: clusters }, (_, index) => from + index);
  return {
    http: first,
    ingressMetrics: first + 1,
    schedulerMetrics: first + 2,
    nats: first + 3,
    natsMonitor: first + 4,
    llama: several(first + 5),
    agentMetrics: several(first + 5 + clusters),
  };
};

/** Below the ports that systems give to outgoing connections: one of those could take ours before it is used. */
const range = { from: 15_000, to: 30_000 } as const;

function writeSeeds(stateDir: string, clusters: readonly LocalCluster[], options: TestSystemOptions) {
  const write = (name: string, value: unknown): string => {
    const file = join(stateDir, name);
    writeFileSync(file, JSON.stringify(value));
    return file;
  };
  return {
    policyFile: write('policy.json', options.policy ?? { v: 1, strategy: 'cost', exploration: 0 }),
    modelsFile: write('models.json', options.models ?? defaultModels),
    pricesFile: write('prices.json', options.prices ?? defaultPrices(clusters)),
  };
}

const defaultModels: Catalogue = {
  v: 1,
  models: [
    {
      name: localModel,
      aliases: ['smollm2', 'default'],
      endpoints: ['chat', 'completion', 'embedding'],
      contextTokens,
    },
  ],
};

/** The first cluster is the cheapest, each further one a bit dearer. */
const defaultPrices = (clusters: readonly LocalCluster[]): Record<string, Tariff> =>
  Object.fromEntries(clusters.map(({ id }, index) => [id, priceOf(0.09 + index * 0.01)]));

/** A price as the bucket holds it. */
export const priceOf = (usdPerHour: number): Tariff => ({
  v: 1,
  usdPerHour,
  market: 'on-demand',
  overheadFactor: 1,
  source: 'test',
  asOf: '2025-10-01T00:00:00Z',
});
