import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LocalCluster } from './clusters.ts';
import { type Guard, startGuard } from './guard.ts';
import type { Credential } from './keys.ts';
import { natsConfig } from './nats-config.ts';
import type { Say } from './parts.ts';
import { type Layout, makePlan, type Plan } from './plan.ts';
import { portAt } from './ports.ts';
import { ManagedProcess, type ProcessSpec, runToEnd } from './processes.ts';

export type SystemOptions = Layout & {
  /** Path of the nats-server to run; not asked for when NATS is external. */
  readonly natsServer: () => Promise<string>;
  /** The command that serves llama.cpp's HTTP interface for a cluster on a port; not asked for an external one. */
  readonly backend: (cluster: LocalCluster, port: number) => Promise<readonly string[]>;
  /** Start parts again that end by themselves. */
  readonly restart: boolean;
  /** Agents measure their backends as they start. On one machine real ones would measure each other: one by one then. */
  readonly agents: 'one-by-one' | 'together';
  readonly say: Say;
  /** Aborts the start; what was started is stopped then. */
  readonly signal?: AbortSignal;
};

/**
 * A whole Drover on this machine. Its parts are called `nats-server`, `llama-<cluster>`, `agent-<cluster>`, `scheduler`
 * and `ingress`; those that are external cannot be killed or started here.
 */
export type System = AsyncDisposable & {
  readonly url: string;
  readonly natsUrl: string;
  readonly natsMonitorUrl: string;
  readonly apiKey: string;
  readonly llamaUrl: (cluster: string) => string;
  readonly metricsUrl: Plan['metricsUrl'];
  /** Who a role is on NATS: `admin`, `ingress`, `scheduler`, `operator`, `agent-<cluster>`, `producer-local`. */
  readonly credential: (role: string) => Credential | undefined;
  /** The pids of what runs, by part. */
  pids(): Record<string, number>;
  /** Sends a signal (default SIGKILL) to a part; resolves when it is gone, if the signal is one that ends it. */
  kill(part: string, signal?: NodeJS.Signals): Promise<void>;
  /** Stops a part in good order; it stays stopped. */
  stop(part: string): Promise<void>;
  /** Starts a part that is stopped or was killed; resolves when it serves. */
  start(part: string): Promise<void>;
};

/**
 * Starts every part and resolves when all of them serve.
 * @throws Problem when a part does not start; the others are stopped then
 */
export async function startSystem(options: SystemOptions): Promise<System> {
  const system = makeSystem(options);
  await system.startAll();
  return system;
}

/** A system of which nothing runs yet: `startAll` does what startSystem says. */
export function makeSystem(options: SystemOptions): System & { startAll(): Promise<void> } {
  const plan = makePlan(options);
  prepareFolders(plan);
  const guard = startGuard();
  const processes = new Map<string, ManagedProcess>();
  const part = (name: string): ManagedProcess => {
    const found = processes.get(name);
    if (found === undefined)
      throw new Error(`no part is called ${name}: ${[...processes.keys()].join(', ')}`);
    return found;
  };
  return {
    startAll: () => startOrStop(options, plan, guard, processes),
    url: plan.url,
    natsUrl: plan.natsUrl,
    natsMonitorUrl: plan.natsMonitorUrl,
    apiKey: plan.apiKey.key,
    llamaUrl: plan.llamaUrl,
    metricsUrl: plan.metricsUrl,
    credential: plan.credential,
    pids: () => ({ ...pidsOf(processes), guard: guard.pid }),
    kill: (name, signalName) => part(name).kill(signalName),
    stop: (name) => part(name).stop(),
    start: (name) => part(name).start(),
    [Symbol.asyncDispose]: () => stopAll(processes, guard),
  };
}

async function startOrStop(
  options: SystemOptions,
  plan: Plan,
  guard: Guard,
  processes: Map<string, ManagedProcess>,
): Promise<void> {
  // When one part fails, those that are not started yet must not be.
  const failed = new AbortController();
  const signal = AbortSignal.any([failed.signal, ...(options.signal ? [options.signal] : [])]);
  try {
    await abortable(startAll(options, plan, { guard, processes, signal }), signal);
  } catch (error) {
    failed.abort(error);
    await stopAll(processes, guard);
    throw error;
  }
}

type Running = {
  readonly guard: Guard;
  readonly processes: Map<string, ManagedProcess>;
  readonly signal: AbortSignal;
};

async function startAll(options: SystemOptions, plan: Plan, running: Running): Promise<void> {
  const { clusters, external, ports, say } = options;
  const begin = (spec: ProcessSpec, where: string) => beginPart(options, running, spec, where);
  const natsAndStreams = async () => {
    if (external.nats === undefined) {
      writeFileSync(
        plan.natsConfigFile,
        natsConfig({ ...natsPorts(options), storeDir: plan.natsStore, users: plan.users }),
        {
          mode: 0o600,
        },
      );
      await begin(plan.nats(await options.natsServer()), plan.natsUrl);
    }
    running.signal.throwIfAborted();
    await runToEnd('bootstrap', plan.bootstrap.command, {
      ...plan.bootstrap,
      signal: running.signal,
      hint: `is NATS, with JetStream, reachable at ${plan.natsUrl}?`,
    });
    say(line('bootstrap', 'streams, consumers, prices and policy are there'));
  };
  const llama = async (cluster: LocalCluster, index: number) => {
    if (external.llamaUrls[cluster.id] !== undefined) return;
    const command = await options.backend(cluster, portAt(ports.llama, index));
    await begin(plan.llama(cluster, command), plan.llamaUrl(cluster.id));
  };
  // llama.cpp loads its model while NATS starts: neither needs the other.
  await Promise.all([natsAndStreams(), ...clusters.map(llama)]);
  const agent = (cluster: LocalCluster) => begin(plan.agent(cluster), `beside ${plan.llamaUrl(cluster.id)}`);
  const agents = async () => {
    if (options.agents === 'together') await Promise.all(clusters.map(agent));
    else for (const cluster of clusters) await agent(cluster);
  };
  await Promise.all([agents(), begin(plan.scheduler(), plan.natsUrl), begin(plan.ingress(), plan.url)]);
}

const natsPorts = ({ ports }: Layout) => ({ port: ports.nats, monitorPort: ports.natsMonitor });

async function beginPart(
  { say, restart }: SystemOptions,
  { guard, processes, signal }: Running,
  spec: ProcessSpec,
  where: string,
): Promise<void> {
  signal.throwIfAborted();
  const part = new ManagedProcess(spec, { say, guard, restart });
  processes.set(part.name, part);
  const startedAtMs = performance.now();
  await part.start();
  if (!signal.aborted) say(line(part.name, `${where}  (${seconds(performance.now() - startedAtMs)})`));
}

const line = (part: string, text: string): string => `${part.padEnd(21)} ${text}`;
const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

/** Stops readers first, then who works for them, and what all of them stand on last. */
async function stopAll(processes: ReadonlyMap<string, ManagedProcess>, guard: Guard): Promise<void> {
  for (const kind of [/^ingress$/, /^(scheduler|agent-.*)$/, /^(llama-.*|nats-server)$/]) {
    const group = [...processes.values()].filter(({ name }) => kind.test(name));
    await Promise.all(group.map((part) => part.stop()));
  }
  guard.dismiss();
}

const pidsOf = (processes: ReadonlyMap<string, ManagedProcess>): Record<string, number> =>
  Object.fromEntries(
    [...processes].flatMap(([name, { pid }]) => (pid === undefined ? [] : [[name, pid] as const])),
  );

/** Makes the folders of a run. The logs of the run before are kept as `*.previous.log`. */
function prepareFolders({ logFolder }: Plan): void {
  mkdirSync(logFolder, { recursive: true });
  for (const file of readdirSync(logFolder)) {
    if (!file.endsWith('.log') || file.endsWith('.previous.log')) continue;
    renameSync(join(logFolder, file), join(logFolder, file.replace(/\.log$/, '.previous.log')));
  }
}

/** Rejects as soon as the signal aborts, whatever becomes of the promise. */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
