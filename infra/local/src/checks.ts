import { existsSync, statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { Problem } from './problem.ts';

const mib = 1024 * 1024;

/** @throws Problem when the disk of `folder` has less than `neededMib` left */
export function requireDisk(folder: string, neededMib: number, purpose: string): void {
  const present = nearestFolder(folder);
  const { bavail, bsize } = statfsSync(present);
  const freeMib = Math.floor((bavail * bsize) / mib);
  if (freeMib >= neededMib) return;
  throw new Problem(
    `the disk of ${present} has ${freeMib} MiB left, and ${neededMib} MiB are needed to ${purpose}; make room and start again`,
  );
}

const nearestFolder = (path: string): string => (existsSync(path) ? path : nearestFolder(dirname(path)));

/** A port that a part is going to listen on, and the variable that moves it. */
export type PortUse = { readonly port: number; readonly part: string; readonly variable: string };

const host = '127.0.0.1';

/** @throws Problem that names every port in use, who wanted it, and how to move it */
export async function requireFreePorts(uses: readonly PortUse[]): Promise<void> {
  const free = await Promise.all(uses.map(({ port }) => isFree(port)));
  const taken = uses.filter((_, index) => !free[index]);
  if (taken.length === 0) return;
  const each = taken.map(
    ({ port, part, variable }) => `port ${port} is in use, and ${part} wants it (set ${variable} to move it)`,
  );
  throw new Problem(each.join('; '));
}

/** Whether one could listen on this port of the loopback interface now. */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
