import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureParts } from '../../infra/local/src/parts.ts';

export type TestServer = AsyncDisposable & {
  readonly url: string;
  readonly port: number;
  /** SIGKILL, as a crash. The store stays. */
  kill(): Promise<void>;
  /** Starts again on the same port and store. */
  restart(): Promise<void>;
};

const readyMs = 30_000;

/** What runs now. A test that hangs is ended with its process; its servers must not outlive it. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const server of running) server.kill('SIGKILL');
});

/**
 * A real nats-server with JetStream on a free port and a store of its own, gone with `await using`.
 * @param extra further lines of server configuration (accounts, users)
 * @param store how much JetStream may keep in files, as nats-server writes sizes; and where, if not in a folder of its own
 */
export async function startNatsServer(
  extra = '',
  store: { maxFile?: string; folder?: string } = {},
): Promise<TestServer> {
  const { natsServer } = await ensureParts((line) => console.error(line));
  const folder = mkdtempSync(join(tmpdir(), 'drover-nats-'));
  const port = await freePort();
  const config = join(folder, 'nats.conf');
  // JetStream sets `max_bytes` of every stream aside, and once more while it is asked to create an existing one.
  writeFileSync(
    config,
    `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${store.folder ?? folder}/js", max_mem: 2G, max_file: ${store.maxFile ?? '8G'} }\n${extra}\n`,
  );
  let child = await start();

  async function start() {
    const started = spawn(natsServer, ['-c', config], { stdio: ['ignore', 'ignore', 'pipe'] });
    running.add(started);
    started.once('exit', () => running.delete(started));
    let output = '';
    const ready = Promise.withResolvers<void>();
    const late = setTimeout(() => ready.reject(new Error(`nats-server is not ready:\n${output}`)), readyMs);
    started.stderr.on('data', (data: Buffer) => {
      output += data.toString();
      if (output.includes('Server is ready')) ready.resolve();
    });
    started.once('error', ready.reject);
    started.once('exit', (code) => ready.reject(new Error(`nats-server exited with ${code}:\n${output}`)));
    await ready.promise.finally(() => clearTimeout(late));
    return started;
  }

  async function stop(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }

  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    kill: () => stop('SIGKILL'),
    restart: async () => {
      await stop('SIGKILL');
      child = await start();
    },
    [Symbol.asyncDispose]: async () => {
      await stop('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** How long a connection over loopback may take before the port counts as one that leads elsewhere. */
const reachMs = 1_000;

/**
 * A TCP port on loopback that nobody listens on now, and that leads here: what forwards ports to containers may hold one that it
 * has forgotten, and whoever connects to it then waits for ever.
 */
export async function freePort(): Promise<number> {
  while (true) {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const isReached = await reaches(address.port);
    await new Promise((resolve) => server.close(resolve));
    if (isReached) return address.port;
    console.error(`port ${address.port} of this machine leads somewhere else: not used`);
  }
}

/** Whether a connection to this port of loopback comes about. */
export async function reaches(port: number): Promise<boolean> {
  const socket = createConnection({ port, host: '127.0.0.1', timeout: reachMs });
  try {
    return await new Promise((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('timeout', () => resolve(false));
      socket.once('error', () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}
