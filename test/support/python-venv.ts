import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withFileLock } from '../../infra/local/src/file-lock.ts';
import { findPython, stateDir } from '../../infra/local/src/parts.ts';

const run = promisify(execFile);

/** The virtual environment that tests share, and what is installed there. */
const venv = join(stateDir, 'test-venv');
const stamp = join(venv, 'installed');
const wheels = ['nats-py[nkeys]==2.16.0'];

/** Path of a Python that has the libraries tests use; installs them once. */
export async function ensureTestPython(): Promise<string> {
  const python =
    process.platform === 'win32' ? join(venv, 'Scripts', 'python.exe') : join(venv, 'bin', 'python');
  mkdirSync(stateDir, { recursive: true });
  await withFileLock(join(stateDir, 'test-venv.lock'), async () => {
    const wanted = wheels.join('\n');
    if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
    console.error(`installing ${wheels.join(', ')} (once)`);
    await run(await findPython(), ['-m', 'venv', '--clear', venv]);
    await run(python, ['-m', 'pip', 'install', '--disable-pip-version-check', '--quiet', ...wheels]);
    writeFileSync(stamp, wanted);
  });
  return python;
}
