/**
 * The guard process (see guard.ts). It is told pids over its IPC channel; when the channel closes, the process at the
 * other end is gone, and what is still watched is ended: the last one started first, as in an orderly stop.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive } from './file-lock.ts';
import type { GuardMessage } from './guard.ts';

/** From SIGTERM to SIGKILL for each process, in ms. */
const graceMs = 3_000;
const watched = new Set<number>();

process.on('message', (message: GuardMessage) => {
  if ('watch' in message) watched.add(message.watch);
  else watched.delete(message.forget);
});
process.once('disconnect', async () => {
  for (const pid of [...watched].reverse()) await end(pid);
  process.exit(0);
});

async function end(pid: number): Promise<void> {
  const killAtMs = performance.now() + graceMs;
  signal(pid, 'SIGTERM');
  while (isAlive(pid) && performance.now() < killAtMs) await delay(50);
  if (isAlive(pid)) signal(pid, 'SIGKILL');
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already.
  }
}
