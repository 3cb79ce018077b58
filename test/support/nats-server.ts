import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
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

/**
 * A real nats-server with JetStream on a free port and a store of its own, gone with `await using`.
 * @param extra further lines of server configuration (accounts, users)
 */
export async function startNatsServer(extra = ''): Promise<TestServer> {
  const { natsServer } = await ensureParts((line) => console.error(line));
  const folder = mkdtempSync(join(tmpdir(), 'drover-nats-'));
  const port = await freePort();
  const config = join(folder, 'nats.conf');
  // JetStream sets `max_bytes` of every stream aside, and once more while it is asked to create an existing one.
  writeFileSync(
    config,
    `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${folder}/js", max_mem: 2G, max_file: 8G }\n${extra}\n`,
  );
  let child = await start();

  async function start() {
    const started = spawn(natsServer, ['-c', config], { stdio: ['ignore', 'ignore', 'pipe'] });
    let output = '';
    await new Promise<void>((resolve, reject) => {
      started.stderr.on('data', (data: Buffer) => {
        output += data.toString();
        if (output.includes('Server is ready')) resolve();
      });
      started.once('error', reject);
      started.once('exit', (code) => reject(new Error(`nats-server exited with ${code}:\n${output}`)));
    });
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

/** A TCP port on loopback that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
