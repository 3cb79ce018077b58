import { join } from 'node:path';
import { type Grants, type NatsUser, permissions } from '@drover/schemas';
import { contextTokens, inVariable, type LocalCluster, localModel, localTenant } from './clusters.ts';
import { type ApiKey, type Credential, ensureApiKey, ensureKeys } from './keys.ts';
import { type Llama, projectRoot } from './parts.ts';
import { type Ports, portAt } from './ports.ts';
import { answers, type ProcessSpec } from './processes.ts';

/** Parts that run elsewhere and are used instead of our own. */
export type External = {
  readonly nats?: {
    readonly url: string;
    /** Seed files by role in capitals (`ADMIN`, `AGENT_AWS_US_EAST_1`); a role without one connects without an nkey. */
    readonly nkeyFiles: Readonly<Record<string, string>>;
  };
  /** URL of llama.cpp by cluster. */
  readonly llamaUrls: Readonly<Record<string, string>>;
};

/** Files that fill the buckets where a key is absent. */
export type Seeds = { readonly policyFile: string; readonly modelsFile: string; readonly pricesFile: string };

export type AppName = 'ingress' | 'scheduler' | 'agent';
export type Env = Readonly<Record<string, string>>;

export type Layout = {
  /** Keys, JetStream's store and logs; made when absent. */
  readonly stateDir: string;
  readonly clusters: readonly LocalCluster[];
  readonly ports: Ports;
  readonly external: External;
  readonly seeds: Seeds;
  /** Further environment of each app. */
  readonly env?: Partial<Record<AppName, Env>>;
};

/** What is going to run where, and how each part is started. Makes the keys that are missing; starts nothing. */
export type Plan = ReturnType<typeof makePlan>;

const host = '127.0.0.1';
const http = (port: number) => `http://${host}:${port}`;

/** From SIGTERM to SIGKILL, in ms: an app finishes what it has begun (10 s of its own) before it is cut short. */
const stopWithinMs = { app: 15_000, llama: 3_000, nats: 10_000 };

export function makePlan(layout: Layout) {
  const { stateDir, clusters, ports, external } = layout;
  const roles = rolesFor(clusters);
  const { users, credentials } = ensureKeys(join(stateDir, 'keys'), roles);
  const apiKey = ensureApiKey(stateDir, localTenant);
  const natsUrl = external.nats?.url ?? `nats://${host}:${ports.nats}`;
  const indexOf = (cluster: string) => clusters.findIndex(({ id }) => id === cluster);
  const llamaUrl = (cluster: string) =>
    external.llamaUrls[cluster] ?? http(portAt(ports.llama, indexOf(cluster)));
  const logFile = (name: string) => join(stateDir, 'logs', `${name}.log`);

  /** Empty values count as absent: what the shell has for another NATS must not reach ours. */
  const natsEnv = (role: string): Env =>
    external.nats === undefined
      ? {
          NATS_URL: natsUrl,
          NATS_CA_FILE: '',
          NATS_CERT_FILE: '',
          NATS_KEY_FILE: '',
          NATS_DOMAIN: '',
          ...asEnv(role),
        }
      : { NATS_URL: natsUrl, ...asEnv(role) };
  const credential = (role: string): Credential | undefined =>
    external.nats === undefined
      ? credentials[role]
      : externalCredential(external.nats.nkeyFiles, role, roles[role]);
  const asEnv = (role: string): Env => {
    const found = credential(role);
    return found === undefined
      ? {}
      : { NATS_NKEY_FILE: found.nkeyFile, NATS_INBOX_PREFIX: found.inboxPrefix };
  };

  const app = (name: string, kind: AppName, role: string, readyUrl: string, env: Env): ProcessSpec => ({
    name,
    command: [process.execPath, join(projectRoot, 'apps', kind, 'src/main.ts')],
    env: { ...natsEnv(role), METRICS_HOST: host, ...env, ...layout.env?.[kind] },
    logFile: logFile(name),
    ready: (signal) => answers(readyUrl, signal),
    stopWithinMs: stopWithinMs.app,
  });

  return {
    url: http(ports.http),
    natsUrl,
    natsMonitorUrl: http(ports.natsMonitor),
    /** JetStream's files; nats-server makes the folder. */
    natsStore: join(stateDir, 'jetstream'),
    natsConfigFile: join(stateDir, 'nats.conf'),
    logFolder: join(stateDir, 'logs'),
    users: users as readonly NatsUser[],
    apiKey: apiKey as ApiKey,
    credential,
    llamaUrl,
    metricsUrl: {
      ingress: http(ports.ingressMetrics),
      scheduler: http(ports.schedulerMetrics),
      agent: (cluster: string) => http(portAt(ports.agentMetrics, indexOf(cluster))),
    },

    nats: (command: string): ProcessSpec => ({
      name: 'nats-server',
      command: [command, '-c', join(stateDir, 'nats.conf')],
      logFile: logFile('nats-server'),
      ready: (signal) => answers(`${http(ports.natsMonitor)}/healthz`, signal),
      stopWithinMs: stopWithinMs.nats,
    }),

    bootstrap: {
      command: [process.execPath, join(projectRoot, 'apps/scheduler/src/bootstrap.ts')],
      logFile: logFile('bootstrap'),
      env: {
        ...natsEnv('admin'),
        CLUSTERS: clusters.map(({ id }) => id).join(','),
        REPLICAS: '1',
        POLICY_FILE: layout.seeds.policyFile,
        MODELS_FILE: layout.seeds.modelsFile,
        PRICES_FILE: layout.seeds.pricesFile,
      },
    },

    llama: (cluster: LocalCluster, command: readonly string[]): ProcessSpec => ({
      name: `llama-${cluster.id}`,
      command,
      logFile: logFile(`llama-${cluster.id}`),
      ready: (signal) => answers(`${llamaUrl(cluster.id)}/health`, signal),
      stopWithinMs: stopWithinMs.llama,
    }),

    agent: ({ id, provider }: LocalCluster): ProcessSpec => {
      const metricsPort = portAt(ports.agentMetrics, indexOf(id));
      return app(`agent-${id}`, 'agent', `agent-${id}`, `${http(metricsPort)}/readyz`, {
        CLUSTER: id,
        LLAMA_URL: llamaUrl(id),
        METRICS_PORT: String(metricsPort),
        ...(provider ? { LLM_BACKEND: 'openai', OPENAI_BASE_URL: `${llamaUrl(id)}/v1`, ...provider } : {}),
      });
    },

    scheduler: (): ProcessSpec =>
      app('scheduler', 'scheduler', 'scheduler', `${http(ports.schedulerMetrics)}/readyz`, {
        METRICS_PORT: String(ports.schedulerMetrics),
      }),

    ingress: (): ProcessSpec =>
      app('ingress', 'ingress', 'ingress', `${http(ports.http)}/readyz`, {
        HTTP_HOST: host,
        HTTP_PORT: String(ports.http),
        METRICS_PORT: String(ports.ingressMetrics),
        API_KEYS_FILE: apiKey.keysFile,
      }),
  };
}

/** One user per process that connects, and one for producers of the local tenant. */
const rolesFor = (clusters: readonly LocalCluster[]): Record<string, Grants> => ({
  admin: permissions.admin(),
  ingress: permissions.ingress(),
  scheduler: permissions.scheduler(),
  operator: permissions.operator(),
  autoscaler: permissions.autoscaler(),
  prices: permissions.prices(),
  [`producer-${localTenant}`]: permissions.producer(localTenant),
  ...Object.fromEntries(clusters.map(({ id }) => [`agent-${id}`, permissions.agent(id)])),
});

function externalCredential(
  nkeyFiles: Readonly<Record<string, string>>,
  role: string,
  grants: Grants | undefined,
): Credential | undefined {
  const nkeyFile = nkeyFiles[inVariable(role)];
  if (nkeyFile === undefined || grants === undefined) return undefined;
  return { nkeyFile, inboxPrefix: grants.inboxPrefix };
}

/** Tokens that llama.cpp computes at once, and so the longest text that it can embed. */
const batchTokens = 512;

/** The command line of llama.cpp for a cluster: context for every slot, and the endpoints that the agent asks. */
export function llamaCommand({ command, model }: Llama, cluster: LocalCluster, port: number): string[] {
  const { slots, threads } = cluster;
  // With mean pooling llama.cpp aborts at start unless the slots share a batch evenly (seen in b11549).
  const batch = String(batchTokens - (batchTokens % slots));
  return [
    ...command,
    ...['--host', host, '--port', String(port)],
    ...['--model', model, '--alias', localModel],
    ...['--parallel', String(slots), '--ctx-size', String(slots * contextTokens)],
    ...['--batch-size', batch, '--ubatch-size', batch],
    ...['--threads', String(threads)],
    ...['--metrics', '--slots', '--embeddings', '--pooling', 'mean'],
  ];
}
