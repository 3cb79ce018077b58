import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Runs `action` while holding `file`; waits for another process that holds it, unless that process is dead. */
export async function withFileLock<T>(file: string, action: () => Promise<T>): Promise<T> {
  while (!tryLock(file)) await delay(200);
  try {
    return await action();
  } finally {
    rmSync(file, { force: true });
  }
}

function tryLock(file: string): boolean {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    if (!isAlive(holderOf(file))) rmSync(file, { force: true });
    return false;
  }
}

/** The pid in the lock; NaN when it has just been given up, or has not been written yet. */
function holderOf(file: string): number {
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10);
  } catch {
    return Number.NaN;
  }
}

/**
 * Whether a process with this pid still runs. Not knowing (NaN) counts as running: the next look will tell.
 * One that has ended and waits for its new parent to notice (a zombie, where there is /proc) does not.
 */
export function isAlive(pid: number): boolean {
  if (Number.isNaN(pid)) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}
