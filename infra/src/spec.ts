/**
 * What the clusters and the things that run on them must agree on, as plain data: this file imports nothing, so that
 * charts and ApplicationSets can be compared with it without any cloud SDK.
 */

export const clouds = ['aws', 'gcp', 'azure'] as const;
export type Cloud = (typeof clouds)[number];

export const environments = ['dev', 'staging', 'prod'] as const;
export type Environment = (typeof environments)[number];

/** The hub holds the streams, the scheduler, the ingress and Argo CD; a leaf only runs models. */
export const roles = ['hub', 'leaf'] as const;
export type Role = (typeof roles)[number];

export const poolKinds = ['system', 'spot', 'gpu'] as const;
export type PoolKind = (typeof poolKinds)[number];

export type Taint = {
  readonly key: string;
  readonly value: string;
  readonly effect: 'NoSchedule';
};

/** Only what survives a spot notice may run on spot nodes: the agent with its llama.cpp. */
export const spotTaint = {
  key: 'drover.dev/spot',
  value: 'true',
  effect: 'NoSchedule',
} as const satisfies Taint;

/** The one that GKE uses for nodes with an accelerator; we put it on in every cloud, so that one toleration fits. */
export const gpuTaint = {
  key: 'nvidia.com/gpu',
  value: 'present',
  effect: 'NoSchedule',
} as const satisfies Taint;

/** What AKS adds to its spot nodes by itself, and refuses to leave away. */
const azureSpotTaint = {
  key: 'kubernetes.azure.com/scalesetpriority',
  value: 'spot',
  effect: 'NoSchedule',
} as const satisfies Taint;

/** The taints that we put on each pool. */
export const poolTaints = {
  system: [],
  spot: [spotTaint],
  gpu: [spotTaint, gpuTaint],
} as const satisfies Record<PoolKind, readonly Taint[]>;

/** The taints that a cloud adds to spot nodes (CPU or GPU) besides ours. */
export const cloudSpotTaints = {
  aws: [],
  gcp: [],
  azure: [azureSpotTaint],
} as const satisfies Record<Cloud, readonly Taint[]>;

/** Every taint that a pod meets on a pool: what its tolerations must cover. GPU pools are spot pools too. */
export const taintsMet = (cloud: Cloud, pool: PoolKind): readonly Taint[] =>
  pool === 'system' ? poolTaints.system : [...poolTaints[pool], ...cloudSpotTaints[cloud]];

/** The label by which a pod selects its pool. */
export const poolLabel = 'drover.dev/pool';

export const nodeLabels = {
  system: { [poolLabel]: 'system' },
  spot: { [poolLabel]: 'spot' },
  gpu: { [poolLabel]: 'gpu' },
} as const satisfies Record<PoolKind, Readonly<Record<string, string>>>;

/** Machines unless the configuration names others: two cores each, the accelerated ones with one NVIDIA T4. */
export const defaultMachines = {
  aws: { system: 't3.large', spot: 't3.large', gpu: 'g4dn.xlarge' },
  gcp: { system: 'n1-standard-2', spot: 'n1-standard-2', gpu: 'n1-standard-4' },
  azure: { system: 'Standard_D2s_v3', spot: 'Standard_D2s_v3', gpu: 'Standard_NC4as_T4_v3' },
} as const satisfies Record<Cloud, Record<PoolKind, string>>;

/** GCP attaches accelerators to a machine; elsewhere the machine type includes them. */
export const gcpAccelerator = 'nvidia-tesla-t4';

/** Labels of the Secret that registers a cluster with Argo CD: ApplicationSets select by them. */
export const registrationLabels = {
  cloud: 'drover.dev/cloud',
  env: 'drover.dev/env',
  region: 'drover.dev/region',
  role: 'drover.dev/role',
  /** `true` where there is a GPU pool, absent elsewhere. */
  gpu: 'drover.dev/gpu',
} as const;

/** Annotations of the same Secret: values that ApplicationSets hand to charts. */
export const registrationAnnotations = {
  /** The cluster's name on the wire (the `<cluster>` of `llm.job.<cluster>.>`). */
  cluster: 'drover.dev/cluster',
  /** Where the cluster pulls images from, without a trailing slash. */
  registry: 'drover.dev/registry',
  /** The DNS zone of the environment. */
  domain: 'drover.dev/domain',
  /**
   * On the hub: comma-separated CIDRs that leaf nodes dial in from; its NATS load balancer admits only these. Never
   * empty there.
   */
  leafSources: 'drover.dev/leaf-sources',
  /** On the hub: the identity that may edit the DNS zone; empty where the cloud binds by service account name. */
  dnsIdentity: 'drover.dev/dns-identity',
  /** On the hub: what external-dns and cert-manager need to find the zone (zone id, project, or subscription/group). */
  dnsScope: 'drover.dev/dns-scope',
} as const;

/** The service accounts on the hub that may edit the DNS zone. */
export const dnsEditors = [
  { namespace: 'external-dns', serviceAccount: 'external-dns' },
  { namespace: 'cert-manager', serviceAccount: 'cert-manager' },
] as const;

/** One image per app; registries that have a repository per image get one for each. */
export const images = ['ingress', 'scheduler', 'agent', 'prices'] as const;
