import { type ClusterId, clusterId, gpuCluster, tariff } from '@drover/schemas';
import { z } from 'zod';

/** What a deployment is read from: files that the other parts of the tree own. This reads what it needs of them. */
export const environments = ['dev', 'staging', 'prod'] as const;
export type Environment = (typeof environments)[number];
export const clouds = ['aws', 'gcp', 'azure'] as const;
export type Cloud = (typeof clouds)[number];

const common = {
  name: clusterId,
  role: z.enum(['hub', 'leaf']),
  region: z.string(),
  paused: z.boolean().default(false),
  api: z.looseObject({ access: z.string(), networks: z.array(z.string()).default([]) }),
  pools: z
    .looseObject({
      system: z.looseObject({ machine: z.string().optional(), nodes: z.int().default(2) }).prefault({}),
      gpu: z.looseObject({}).optional(),
    })
    .prefault({}),
};

const cluster = z.discriminatedUnion('cloud', [
  z.looseObject({ ...common, cloud: z.literal('aws'), accountId: z.string() }),
  z.looseObject({ ...common, cloud: z.literal('gcp'), project: z.string(), projectNumber: z.string() }),
  z.looseObject({ ...common, cloud: z.literal('azure'), subscriptionId: z.string() }),
]);
export type Cluster = z.infer<typeof cluster>;

/** `infra/Pulumi.<environment>.yaml`. `infra/` itself checks it whole; here only what the plan needs. */
export const stackFile = z.looseObject({
  config: z.looseObject({
    'drover:domain': z.string(),
    'drover:repository': z.url(),
    'drover:budgetEmails': z.array(z.string()),
    'drover:clusters': z.array(cluster).min(1),
  }),
});

/** `argocd/environments/<environment>/fleet.json`. */
export const fleetFile = z.looseObject({
  clusters: z.array(
    z.looseObject({
      name: clusterId,
      cloud: z.enum(clouds),
      role: z.enum(['hub', 'leaf']),
      gpu: z.looseObject({}).optional(),
      price: tariff.pick({ usdPerHour: true, source: true, asOf: true }).loose(),
    }),
  ),
});

/** `argocd/root/<environment>.yaml`. */
export const rootFile = z.looseObject({
  spec: z.looseObject({
    source: z.looseObject({ repoURL: z.string(), targetRevision: z.string(), path: z.string() }),
  }),
});

const digest = z.looseObject({ digest: z.string() });
/** The two files of digests in `argocd/environments/<environment>/`. */
export const imageFiles = z.looseObject({
  router: z.looseObject({ image: z.looseObject({ ingress: digest, scheduler: digest, prices: digest }) }),
  server: z.looseObject({
    image: z.looseObject({ agent: digest, llama: digest }),
    gpu: z.looseObject({ image: digest }),
  }),
});

/** All that a plan rests on. */
export type Facts = {
  readonly environment: Environment;
  readonly domain: string;
  readonly repository: string;
  readonly budgetEmails: readonly string[];
  readonly clusters: readonly Cluster[];
  readonly hub: Cluster;
  readonly leaves: readonly Cluster[];
  /** USD per hour of a node with the default machine, by cluster; as fleet.json quotes it. */
  readonly prices: ReadonlyMap<string, { readonly usdPerHour: number; readonly source: string }>;
  readonly root: { readonly repository: string; readonly revision: string };
  /** Empty: not published yet. llama.cpp's for accelerators is there only where there are some. */
  readonly digests: Readonly<
    Record<'ingress' | 'scheduler' | 'prices' | 'agent' | 'llama', string> & { llamaGpu?: string }
  >;
  /** The clusters of fleet.json, in the words of `line`: they have to be those of the stack. */
  readonly fleet: readonly string[];
};

export type Files = {
  readonly stack: z.infer<typeof stackFile>;
  readonly fleet: z.infer<typeof fleetFile>;
  readonly root: z.infer<typeof rootFile>;
  readonly images: z.infer<typeof imageFiles>;
};

/** Pure. Undefined without a hub: then there is nothing to deploy to. */
export function factsOf(environment: Environment, { stack, fleet, root, images }: Files): Facts | undefined {
  const clusters = stack.config['drover:clusters'];
  const hub = clusters.find(({ role }) => role === 'hub');
  if (hub === undefined) return undefined;
  return {
    environment,
    domain: stack.config['drover:domain'],
    repository: stack.config['drover:repository'],
    budgetEmails: stack.config['drover:budgetEmails'],
    clusters,
    hub,
    leaves: clusters.filter(({ role }) => role === 'leaf'),
    prices: new Map(fleet.clusters.map(({ name, price }) => [name, price])),
    root: { repository: root.spec.source.repoURL, revision: root.spec.source.targetRevision },
    digests: {
      ingress: images.router.image.ingress.digest,
      scheduler: images.router.image.scheduler.digest,
      prices: images.router.image.prices.digest,
      agent: images.server.image.agent.digest,
      llama: images.server.image.llama.digest,
      ...(clusters.some(hasGpu) && { llamaGpu: images.server.gpu.image.digest }),
    },
    fleet: fleet.clusters.map(line),
  };
}

/** Whether infra makes a pool of accelerated nodes. */
export const hasGpu = ({ pools }: Cluster): boolean => pools.gpu !== undefined;

/** What jobs can be sent to in a cluster: itself, and its accelerated nodes, which have a name of their own. */
export const targetsIn = (cluster: Cluster): ClusterId[] => [
  cluster.name,
  ...(hasGpu(cluster) ? [gpuCluster(cluster.name)] : []),
];

type Named = { readonly name: string; readonly cloud: string; readonly role: string };

/** A cluster as fleet.json (`gpu`) and the stack's configuration (`pools.gpu`) can be compared. */
export const line = (
  cluster: Named & { readonly gpu?: unknown; readonly pools?: { readonly gpu?: unknown } },
): string => {
  const { name, cloud, role, gpu, pools } = cluster;
  return `${name} (${role} in ${cloud}${(gpu ?? pools?.gpu) === undefined ? '' : ', with GPUs'})`;
};
