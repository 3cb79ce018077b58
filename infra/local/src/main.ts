/**
 * `npm start`: Drover on this machine, with real parts. Started by start.mjs, which made sure that this Node and the npm
 * packages are there.
 */
import { mkdirSync } from 'node:fs';
import { startAutoscaler } from './autoscaler.ts';
import { requireDisk, requireFreePorts } from './checks.ts';
import { localClusters } from './clusters.ts';
import { ensureLlama, ensureNatsServer, type Say } from './parts.ts';
import { llamaCommand } from './plan.ts';
import { portUses } from './ports.ts';
import { currentPrices } from './prices.ts';
import { Problem } from './problem.ts';
import { type RunInfo, takeRunLock } from './run-lock.ts';
import { renderScreen } from './screen.ts';
import { readSettings } from './settings.ts';
import { onStopRequest } from './stop-request.ts';
import { makeSystem } from './system.ts';

/** For JetStream's store and the logs of a run. */
const runMib = 200;

const say: Say = (line) => console.log(line);

async function main(): Promise<void> {
  const startedAtMs = performance.now();
  const stop = onStopRequest();
  const { stateDir, ports, external, seeds, autoscale } = readSettings(process.env);
  mkdirSync(stateDir, { recursive: true });
  let system: ReturnType<typeof makeSystem> | undefined;
  const info = (): RunInfo => ({
    pid: process.pid,
    url: `http://127.0.0.1:${ports.http}`,
    processes: system?.pids() ?? {},
  });
  const lock = await takeRunLock(stateDir, info);
  if ('holder' in lock) {
    const { pid, url } = lock.holder;
    throw new Problem(
      `Drover already runs here, at ${url}; stop it with Ctrl-C in its terminal, or: kill ${pid}`,
    );
  }
  try {
    requireDisk(stateDir, runMib, 'run');
    const isExternal = (cluster: string) => external.llamaUrls[cluster] !== undefined;
    // Before anything is installed: a port in use is known at once, and downloads take a while.
    await requireFreePorts(
      portUses(ports, localClusters, { nats: external.nats !== undefined, llama: isExternal }),
    );
    if (external.nats === undefined) await ensureNatsServer(say, stop.signal);
    const llama = localClusters.every(({ id }) => isExternal(id))
      ? undefined
      : await ensureLlama(say, stop.signal);
    system = makeSystem({
      stateDir,
      clusters: localClusters,
      ports,
      external,
      seeds,
      natsServer: () => ensureNatsServer(say, stop.signal),
      backend: async (cluster, port) => llamaCommand(llama ?? (await ensureLlama(say)), cluster, port),
      restart: true,
      agents: 'one-by-one',
      say,
      signal: stop.signal,
    });
    stop.onSecond(() => killAll(system?.pids() ?? {}));
    await system.startAll();
    say(
      renderScreen({
        system,
        clusters: localClusters,
        prices: await currentPrices(
          system,
          localClusters.map(({ id }) => id),
        ),
        external: new Set(Object.keys(external.llamaUrls)),
        stateDir,
        tookMs: performance.now() - startedAtMs,
      }),
    );
    const own = localClusters.filter(({ id }) => !isExternal(id)).map(({ id }) => id);
    const autoscaler = autoscale && (await startAutoscaler(system, { clusters: own, ...autoscale, say }));
    await stop.requested;
    await autoscaler?.stop();
    say('\nstopping (running requests get up to 10 s; Ctrl-C again ends everything at once)');
    await system[Symbol.asyncDispose]();
    say('stopped; no process is left');
  } finally {
    await system?.[Symbol.asyncDispose]();
    await lock.release();
  }
}

function killAll(pids: Readonly<Record<string, number>>): void {
  for (const pid of Object.values(pids)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Gone already.
    }
  }
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const stopped = error instanceof Error && error.name === 'AbortError';
    console.error(stopped ? 'stopped before everything was up' : `drover: ${describe(error)}`);
    process.exit(stopped ? 130 : 1);
  },
);

/** A Problem is a sentence for a person; anything else is a bug, and its stack says where. */
const describe = (error: unknown): string =>
  error instanceof Problem
    ? error.message
    : error instanceof Error
      ? (error.stack ?? error.message)
      : String(error);
