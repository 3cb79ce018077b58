/**
 * The three clusters of a local run. Slots and threads differ so that measured speeds do: the scheduler then has
 * something to choose between. Prices are in config/prices.json.
 */
export type LocalCluster = {
  readonly id: string;
  /** What this cluster stands for. */
  readonly node: string;
  /** Requests that its llama.cpp decodes at once. */
  readonly slots: number;
  readonly threads: number;
  /** Present: its agent uses this llama.cpp as a provider with OpenAI's interface; further environment of that agent. */
  readonly provider?: Readonly<Record<string, string>>;
};

export const localClusters: readonly LocalCluster[] = [
  { id: 'aws-us-east-1', node: 'AWS t3.large', slots: 4, threads: 2 },
  { id: 'gcp-us-central1', node: 'GCP n1-standard-2', slots: 2, threads: 1 },
  { id: 'azure-eastus', node: 'Azure Standard_D2s_v3', slots: 3, threads: 1 },
];

/** Tokens of context that each slot has. */
export const contextTokens = 2_048;

/** The model that every local cluster serves; also in config/models.json. */
export const localModel = 'smollm2-135m-instruct';

/** The tenant that the local API key belongs to. */
export const localTenant = 'local';

/** `aws-us-east-1` → `AWS_US_EAST_1`, for names of variables. */
export const inVariable = (cluster: string): string => cluster.toUpperCase().replaceAll('-', '_');
