import { rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join, relative } from 'node:path';
import { text } from 'node:stream/consumers';

/** What a running system tells who asks. */
export type RunInfo = {
  readonly pid: number;
  readonly url: string;
  /** Pids by the name of the part; empty until they run. */
  readonly processes: Readonly<Record<string, number>>;
};

/**
 * Says who runs out of a state folder: a socket there that somebody answers. The system closes it with its process, so
 * unlike a pid file it is never stale, and never points to a stranger.
 */
const address = (stateDir: string): string =>
  process.platform === 'win32'
    ? `\\\\.\\pipe\\drover-${stateDir.replaceAll(/[^A-Za-z0-9]/g, '-')}`
    : shorter(join(stateDir, 'run.sock'));

/** Socket paths may have about 100 characters; from the working folder it is usually short enough. */
const shorter = (path: string): string =>
  [path, relative(process.cwd(), path)].sort((a, b) => a.length - b.length)[0] ?? path;

/** Takes the lock, or tells who has it. */
export async function takeRunLock(
  stateDir: string,
  info: () => RunInfo,
): Promise<{ release: () => Promise<void> } | { holder: RunInfo }> {
  const path = address(stateDir);
  const server = createServer((socket) => socket.on('error', () => {}).end(JSON.stringify(info())));
  if (!(await listens(server, path))) {
    const holder = await whoRuns(stateDir);
    if (holder) return { holder };
    // The file of a run that was killed.
    rmSync(path, { force: true });
    if (!(await listens(server, path))) throw new Error(`cannot listen on ${path}`);
  }
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** The system that runs out of this folder, or undefined. */
export async function whoRuns(stateDir: string): Promise<RunInfo | undefined> {
  const socket = connect(address(stateDir));
  try {
    // Written by takeRunLock of the same version, or refused by JSON.parse.
    return JSON.parse(await text(socket)) as RunInfo;
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}

const listens = (server: Server, path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const refused = () => resolve(false);
    server.once('error', refused);
    server.listen(path, () => {
      server.off('error', refused);
      resolve(true);
    });
  });
