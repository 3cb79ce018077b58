import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { onPath } from '../../infra/local/src/parts.ts';

const run = promisify(execFile);

export type Result = { readonly ok: boolean; readonly output: string };

/** What builds and runs images here: Docker, or Podman with Buildah and Docker's `docker-compose`. */
export type Engine = {
  readonly name: string;
  build(args: readonly string[]): Promise<Result>;
  run(args: readonly string[], timeoutMs?: number): Promise<Result>;
  compose(args: readonly string[], timeoutMs?: number): Promise<Result>;
  stop(): void;
};

/** Docker where it runs, otherwise Podman; `folder` is for what Podman needs while it runs. */
export async function findEngine(folder: string): Promise<Engine> {
  const docker = engine('docker', ['docker', 'build'], ['docker', 'compose'], process.env);
  if (onPath('docker') && (await docker.run(['info'])).ok) return docker;
  if (onPath('podman') && onPath('buildah') && onPath('docker-compose')) return podman(folder);
  throw new Error('needs docker, or podman with buildah and docker-compose, on the PATH');
}

function engine(
  name: string,
  build: readonly string[],
  compose: readonly string[],
  env: NodeJS.ProcessEnv,
  stop = () => {},
): Engine {
  const start = async (command: readonly string[], timeout: number): Promise<Result> => {
    const [file = '', ...args] = command;
    try {
      const { stdout, stderr } = await run(file, args, { env, timeout, maxBuffer: 64 * 1024 * 1024 });
      return { ok: true, output: stdout + stderr };
    } catch (error) {
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      return { ok: false, output: `${stdout}${stderr}${String(error).slice(0, 500)}` };
    }
  };
  return {
    name,
    build: (args) => start([...build, ...args], 600_000),
    run: (args, timeoutMs = 60_000) => start([name, ...args], timeoutMs),
    compose: (args, timeoutMs = 120_000) => start([...compose, ...args], timeoutMs),
    stop,
  };
}

/** Podman with runc and modest limits, which also works inside a container or a small virtual machine. */
async function podman(folder: string): Promise<Engine> {
  const [conf, socket] = [join(folder, 'containers.conf'), join(folder, 'podman.sock')];
  const runtime = onPath('runc') ? 'runtime = "runc"\n' : '';
  writeFileSync(
    conf,
    `[engine]\n${runtime}[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n[network]\nnetwork_backend = "netavark"\n`,
  );
  const env = {
    ...process.env,
    CONTAINERS_CONF: conf,
    BUILDAH_ISOLATION: 'chroot',
    DOCKER_HOST: `unix://${socket}`,
  };
  const service: ChildProcess = spawn('podman', ['system', 'service', '--time', '0', `unix://${socket}`], {
    env,
    stdio: 'ignore',
  });
  for (let left = 100; left > 0 && !existsSync(socket); left -= 1) await delay(100);
  if (!existsSync(socket)) throw new Error('podman system service did not start');
  const build = ['buildah', 'bud', '--network', 'host'];
  const podman = engine('podman', build, ['docker-compose'], env, () => service.kill());
  return { ...podman, compose: (args, timeoutMs) => withHealthChecks(podman, args, timeoutMs) };
}

/** Podman leaves the rhythm of health checks to systemd; where there is none, nobody would ever ask. */
async function withHealthChecks(
  podman: Engine,
  args: readonly string[],
  timeoutMs?: number,
): Promise<Result> {
  const running = podman.compose(args, timeoutMs);
  let done = false;
  running.finally(() => {
    done = true;
  });
  while (!done) {
    const { output } = await podman.run(['ps', '--quiet']);
    for (const id of output.split('\n').filter(Boolean)) await podman.run(['healthcheck', 'run', id]);
    await Promise.race([running, delay(1000)]);
  }
  return running;
}
