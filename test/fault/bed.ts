import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectNats, createLogger, type Nats } from '@drover/runtime';
import { type Grants, permissions } from '@drover/schemas';
import { isFree } from '../../infra/local/src/checks.ts';
import { type Guard, startGuard } from '../../infra/local/src/guard.ts';
import { type Credential, ensureApiKey, ensureKeys } from '../../infra/local/src/keys.ts';
import { ensureLlama, ensureNatsServer, projectRoot } from '../../infra/local/src/parts.ts';
import { llamaCommand } from '../../infra/local/src/plan.ts';
import { answers, ManagedProcess, type ProcessSpec, runToEnd } from '../../infra/local/src/processes.ts';
import { startProxy, type Proxy as TcpProxy } from '../support/proxy.ts';
import type { PartKind } from './history.ts';
import { hubNodes } from './hub.ts';
import { fleetPrices, modelName, models, policy, tenant } from './seeds.ts';

export type BedOptions = {
  readonly folder: string;
  readonly nodes: 1 | 3;
  readonly llama: 'fake' | 'real';
  /** Time per token of the fake llama.cpp, in ms. */
  readonly tokenMs: number;
  readonly slots: number;
  /** Agents of each cluster. */
  readonly fleet: Readonly<Record<string, number>>;
};

/** One process of the system; `proxies` are its ways to NATS. */
export type Part = {
  readonly name: string;
  readonly kind: PartKind;
  readonly process: ManagedProcess;
  readonly proxies: readonly TcpProxy[];
};

/** A whole Drover out of real processes, each with a link of its own to NATS. Stopped with `await using`. */
export type Bed = AsyncDisposable & {
  readonly parts: readonly Part[];
  readonly apiKey: string;
  /** By name of the ingress. */
  readonly ingressUrls: ReadonlyMap<string, string>;
  /** By name of the agent. */
  readonly agentMetricsUrls: ReadonlyMap<string, string>;
  /** A connection with the rights of a role (`admin`, `producer`), around the proxies. */
  connect(role: string): Promise<Nats>;
};

const host = '127.0.0.1';
const http = (port: number) => `http://${host}:${port}`;
const ignore = () => {};
const appStopWithinMs = 15_000;
const llamaStopWithinMs = 3_000;

export async function startBed(options: BedOptions): Promise<Bed> {
  const bed = new Starting(options);
  try {
    await bed.start();
    return bed.bed();
  } catch (error) {
    await bed.stop();
    throw error;
  }
}

class Starting {
  readonly #options: BedOptions;
  readonly #guard: Guard = startGuard();
  readonly #parts: Part[] = [];
  readonly #ports = new FreePorts();
  readonly #ingressUrls = new Map<string, string>();
  readonly #agentMetricsUrls = new Map<string, string>();
  readonly #credentials: Readonly<Record<string, Credential>>;
  readonly #users: ReturnType<typeof ensureKeys>['users'];
  readonly #apiKey: ReturnType<typeof ensureApiKey>;
  #hubPorts: readonly number[] = [];

  constructor(options: BedOptions) {
    this.#options = options;
    mkdirSync(join(options.folder, 'logs'), { recursive: true });
    const { users, credentials } = ensureKeys(join(options.folder, 'keys'), this.#roles());
    this.#users = users;
    this.#credentials = credentials;
    this.#apiKey = ensureApiKey(options.folder, tenant);
  }

  bed(): Bed {
    return {
      parts: this.#parts,
      apiKey: this.#apiKey.key,
      ingressUrls: this.#ingressUrls,
      agentMetricsUrls: this.#agentMetricsUrls,
      connect: (role) => this.#connect(role),
      [Symbol.asyncDispose]: () => this.stop(),
    };
  }

  async start(): Promise<void> {
    await this.#startHub();
    await this.#bootstrap();
    const nodes = Object.entries(this.#options.fleet).flatMap(([cluster, agents]) =>
      Array.from({ length: agents }, (_, index) => ({ cluster, name: `${cluster}-${index + 1}` })),
    );
    await Promise.all([
      ...nodes.map((node) => this.#startNode(node)),
      ...[1, 2].map((n) => this.#startScheduler(`scheduler-${n}`)),
      ...[1, 2].map((n) => this.#startIngress(`ingress-${n}`)),
    ]);
  }

  /** Ends everything, also what is stopped in mid-air: who works first, what all stand on last. */
  async stop(): Promise<void> {
    for (const part of this.#parts) await part.process.kill('SIGCONT');
    const rank = (kind: PartKind) => (kind === 'nats' ? 1 : 0);
    for (const turn of [0, 1])
      await Promise.all(
        this.#parts.filter(({ kind }) => rank(kind) === turn).map((part) => part.process.kill('SIGKILL')),
      );
    for (const part of this.#parts) for (const proxy of part.proxies) await proxy[Symbol.asyncDispose]();
    this.#guard.dismiss();
  }

  #roles(): Record<string, Grants> {
    return {
      admin: permissions.admin(),
      ingress: permissions.ingress(),
      scheduler: permissions.scheduler(),
      producer: permissions.producer(tenant),
      ...Object.fromEntries(
        Object.keys(this.#options.fleet).map((cluster) => [cluster, permissions.agent(cluster)]),
      ),
    };
  }

  async #startHub(): Promise<void> {
    const { folder, nodes } = this.#options;
    const ports: number[] = [];
    for (let count = 0; count < 3 * nodes; count++) ports.push(await this.#ports.next());
    const natsServer = await ensureNatsServer(ignore);
    const hub = hubNodes({ natsServer, folder, nodes, users: this.#users, ports });
    this.#hubPorts = hub.map(({ port }) => port);
    await Promise.all(hub.map(({ spec }) => this.#begin('nats', spec, [])));
  }

  async #bootstrap(): Promise<void> {
    const { folder, nodes, fleet } = this.#options;
    const write = (name: string, value: unknown): string => {
      const file = join(folder, name);
      writeFileSync(file, JSON.stringify(value));
      return file;
    };
    await runToEnd('bootstrap', appCommand('scheduler', 'bootstrap'), {
      env: {
        ...this.#natsEnv('admin', this.#hubPorts),
        CLUSTERS: Object.keys(fleet).join(','),
        REPLICAS: String(nodes),
        POLICY_FILE: write('policy.json', policy),
        MODELS_FILE: write('models.json', models),
        PRICES_FILE: write('prices.json', fleetPrices(Object.keys(fleet))),
      },
      logFile: this.#logFile('bootstrap'),
      signal: new AbortController().signal,
      hint: 'do the nats-servers see each other?',
    });
  }

  async #startNode({ cluster, name }: { cluster: string; name: string }): Promise<void> {
    const llamaPort = await this.#ports.next();
    await this.#begin(
      'llama',
      {
        name: `llama-${name}`,
        command: await this.#llama(llamaPort),
        logFile: this.#logFile(`llama-${name}`),
        ready: (signal) => answers(`${http(llamaPort)}/health`, signal),
        stopWithinMs: llamaStopWithinMs,
      },
      [],
    );
    const metricsPort = await this.#ports.next();
    this.#agentMetricsUrls.set(`agent-${name}`, `${http(metricsPort)}/metrics`);
    await this.#beginApp('agent', `agent-${name}`, cluster, metricsPort, {
      CLUSTER: cluster,
      AGENT_ID: `agent-${name}`,
      LLAMA_URL: http(llamaPort),
      // A drain notice leaves no time to finish: running streams are handed over at once.
      DRAIN_MS: '0',
    });
  }

  async #llama(port: number): Promise<readonly string[]> {
    const { llama, slots, tokenMs } = this.#options;
    if (llama === 'real') {
      const cluster = { id: 'real', node: 'local', slots, threads: 1 };
      return llamaCommand(await ensureLlama(ignore), cluster, port);
    }
    const flags = ['--port', String(port), '--slots', String(slots), '--token-ms', String(tokenMs)];
    return [
      process.execPath,
      join(projectRoot, 'test/support/fake-llama.ts'),
      ...flags,
      '--alias',
      modelName,
    ];
  }

  async #startScheduler(name: string): Promise<void> {
    await this.#beginApp('scheduler', name, 'scheduler', await this.#ports.next(), { SCHEDULER_ID: name });
  }

  async #startIngress(name: string): Promise<void> {
    const port = await this.#ports.next();
    this.#ingressUrls.set(name, http(port));
    await this.#beginApp('ingress', name, 'ingress', await this.#ports.next(), {
      HTTP_HOST: host,
      HTTP_PORT: String(port),
      API_KEYS_FILE: this.#apiKey.keysFile,
    });
  }

  async #beginApp(
    kind: 'agent' | 'scheduler' | 'ingress',
    name: string,
    role: string,
    metricsPort: number,
    env: Readonly<Record<string, string>>,
  ): Promise<void> {
    const proxies = await Promise.all(this.#hubPorts.map(startProxy));
    await this.#begin(
      kind,
      {
        name,
        command: appCommand(kind, 'main'),
        env: {
          ...this.#natsEnv(
            role,
            proxies.map(({ port }) => port),
          ),
          METRICS_HOST: host,
          METRICS_PORT: String(metricsPort),
          ...env,
        },
        logFile: this.#logFile(name),
        ready: (signal) => answers(`${http(metricsPort)}/readyz`, signal),
        stopWithinMs: appStopWithinMs,
      },
      proxies,
    );
  }

  async #begin(kind: PartKind, spec: ProcessSpec, proxies: readonly TcpProxy[]): Promise<void> {
    const process = new ManagedProcess(spec, { say: ignore, guard: this.#guard, restart: false });
    this.#parts.push({ name: spec.name, kind, process, proxies });
    await process.start();
  }

  #natsEnv(role: string, ports: readonly number[]): Record<string, string> {
    const credential = this.#credentials[role];
    return {
      NATS_URL: ports.map((port) => `nats://${host}:${port}`).join(','),
      NATS_NKEY_FILE: credential?.nkeyFile ?? '',
      NATS_INBOX_PREFIX: credential?.inboxPrefix ?? '_INBOX',
      NATS_CA_FILE: '',
      NATS_CERT_FILE: '',
      NATS_KEY_FILE: '',
      NATS_DOMAIN: '',
      LOG_LEVEL: 'info',
    };
  }

  #connect(role: string): Promise<Nats> {
    const {
      NATS_URL = '',
      NATS_NKEY_FILE = '',
      NATS_INBOX_PREFIX = '',
    } = this.#natsEnv(role, this.#hubPorts);
    const env = { NATS_URL, NATS_NKEY_FILE, NATS_INBOX_PREFIX, LOG_LEVEL: 'fatal' } as const;
    return connectNats(`fault-${role}`, env, createLogger('fault', 'fatal'));
  }

  #logFile(name: string): string {
    return join(this.#options.folder, 'logs', `${name}.log`);
  }
}

const appCommand = (app: string, file: string): string[] => [
  process.execPath,
  join(projectRoot, 'apps', app, 'src', `${file}.ts`),
];

/** Below the ports that systems give to outgoing connections, and none twice. */
class FreePorts {
  #next = 15_000 + Math.floor(Math.random() * 13_000);

  async next(): Promise<number> {
    while (true) {
      const port = this.#next++;
      if (await isFree(port)) return port;
    }
  }
}
