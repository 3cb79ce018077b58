import { join, resolve } from 'node:path';
import { inVariable, localClusters } from './clusters.ts';
import { projectRoot, stateDir } from './parts.ts';
import type { External, Seeds } from './plan.ts';
import { defaultPorts, type Ports, portVariables } from './ports.ts';
import { Problem } from './problem.ts';

/** What the environment says about a local run. The only reader of the environment here; docs/configuration.md lists the variables. */
export type Settings = {
  readonly stateDir: string;
  readonly ports: Ports;
  readonly external: External;
  readonly seeds: Seeds;
  /** How long a cluster that nobody wants keeps its node, in ms; absent: clusters stay up. */
  readonly autoscale?: { readonly coolDownMs: number };
};

/** @throws Problem that names the variable with a bad value */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const natsUrl = env.NATS_URL || undefined;
  const llamaUrls = Object.fromEntries(
    localClusters.flatMap(({ id }) => {
      const url = env[`LLAMA_URL_${inVariable(id)}`];
      return url ? [[id, url]] : [];
    }),
  );
  const nkeyFiles = Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value && name.startsWith('NATS_NKEY_FILE_') ? [[name.slice('NATS_NKEY_FILE_'.length), value]] : [],
    ),
  );
  const config = (name: string, file: string) => env[name] || join(projectRoot, 'infra/local/config', file);
  return {
    stateDir: env.DROVER_STATE_DIR ? resolve(env.DROVER_STATE_DIR) : stateDir,
    ports: readPorts(env),
    external: { llamaUrls, ...(natsUrl === undefined ? {} : { nats: { url: natsUrl, nkeyFiles } }) },
    seeds: {
      policyFile: config('POLICY_FILE', 'policy.json'),
      modelsFile: config('MODELS_FILE', 'models.json'),
      pricesFile: config('PRICES_FILE', 'prices.json'),
    },
    ...readAutoscale(env),
  };
}

const defaultCoolDownMs = 30_000;

function readAutoscale(env: NodeJS.ProcessEnv): Pick<Settings, 'autoscale'> {
  const { AUTOSCALE = '', AUTOSCALE_COOLDOWN_MS = '' } = env;
  if (!['', 'on', 'off'].includes(AUTOSCALE))
    throw new Problem(`AUTOSCALE=${AUTOSCALE} is neither on nor off`);
  const coolDownMs = AUTOSCALE_COOLDOWN_MS === '' ? defaultCoolDownMs : Number(AUTOSCALE_COOLDOWN_MS);
  if (!Number.isInteger(coolDownMs) || coolDownMs < 0)
    throw new Problem(`AUTOSCALE_COOLDOWN_MS=${AUTOSCALE_COOLDOWN_MS} is no whole number of milliseconds`);
  return AUTOSCALE === 'off' ? {} : { autoscale: { coolDownMs } };
}

function readPorts(env: NodeJS.ProcessEnv): Ports {
  const one = (key: keyof Ports): number => {
    const name = portVariables[key];
    const port = Number(env[name] || defaultPorts[key]);
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      throw new Problem(`${name}=${env[name]} is not a port: use a whole number from 1 to 65535`);
    return port;
  };
  const perCluster = (key: keyof Ports) => localClusters.map((_, index) => one(key) + index);
  return {
    http: one('http'),
    ingressMetrics: one('ingressMetrics'),
    schedulerMetrics: one('schedulerMetrics'),
    nats: one('nats'),
    natsMonitor: one('natsMonitor'),
    llama: perCluster('llama'),
    agentMetrics: perCluster('agentMetrics'),
  };
}
