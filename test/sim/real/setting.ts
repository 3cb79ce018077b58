import { type PolicyInput, policy as policySchema, type Tariff } from '@drover/schemas';
import type { ScalingRules } from '../../../apps/scheduler/src/core/wake.ts';
import type { LocalCluster } from '../../../infra/local/src/clusters.ts';

/** Slots of each llama.cpp. All have one thread and the same model, so that a speed depends on nothing but who else works. */
export const slots = 3;

/** Three equal clusters whose prices are far enough apart that measured speeds cannot change their order. */
export const clusters: readonly (LocalCluster & { readonly usdPerHour: number })[] = [
  { id: 'aws-us-east-1', node: 'cheap', slots, threads: 1, usdPerHour: 0.06 },
  { id: 'gcp-us-central1', node: 'middle', slots, threads: 1, usdPerHour: 0.09 },
  { id: 'azure-eastus', node: 'dear', slots, threads: 1, usdPerHour: 0.15 },
];

export const tariffOf = (usdPerHour: number): Tariff => ({
  v: 1,
  usdPerHour,
  market: 'on-demand',
  overheadFactor: 1,
  source: 'comparison',
  asOf: '2026-01-01T00:00:00Z',
});

/** Keeps the nodes that are there: nothing is woken or let go while it is in force. */
export const still: PolicyInput = { v: 1, strategy: 'cost', exploration: 0 };

/** Everything goes to one cluster. */
export const only = (cluster: string): PolicyInput => ({
  v: 1,
  strategy: 'weighted',
  weights: { [cluster]: 1 },
  exploration: 0,
});

/** Drover's own, with times that fit into minutes: a node of this run boots in seconds. */
export const driven: PolicyInput = {
  v: 1,
  strategy: 'cost',
  exploration: 0,
  scaling: {
    averageMs: 5_000,
    decayMs: 10_000,
    coolDownCheapestMs: 20_000,
    coolDownDearestMs: 5_000,
    swapMargin: 1,
    nodesMax: Object.fromEntries(clusters.map(({ id }) => [id, 1])),
  },
};

export function rulesOf(policy: PolicyInput): ScalingRules {
  const { scaling } = policySchema.parse(policy);
  if (!scaling) throw new Error('this policy scales nothing');
  return scaling;
}

/** How long the local autoscaler keeps a node that nobody wants, in ms. */
export const lingerMs = 2_000;

/** The load: parts of so many seconds at such a share of what the machine can do; 55 % on the mean. */
export const parts = [
  { seconds: 55, share: 0.35 },
  { seconds: 70, share: 0.8 },
  { seconds: 55, share: 0.45 },
] as const;

/** Words of a prompt and tokens of an answer, drawn evenly between these. */
export const words = [10, 90] as const;
export const outputs = [10, 90] as const;
