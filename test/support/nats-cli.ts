import { execFile } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { withFileLock } from '../../infra/local/src/file-lock.ts';
import { onPath, stateDir } from '../../infra/local/src/parts.ts';

const run = promisify(execFile);

const version = 'v0.5.0';
const folder = join(stateDir, 'test-tools');
const installed = join(folder, `nats-${version}`, process.platform === 'win32' ? 'nats.exe' : 'nats');

/**
 * Path of the `nats` command line: the one on the PATH, or our own, built from source once (about two minutes).
 * Undefined on a machine that has neither it nor Go.
 */
export async function ensureNatsCli(): Promise<string | undefined> {
  const own = onPath('nats');
  if (own !== undefined) return own;
  if (existsSync(installed)) return installed;
  if (onPath('go') === undefined) return undefined;
  mkdirSync(folder, { recursive: true });
  await withFileLock(join(folder, 'nats.lock'), async () => {
    if (existsSync(installed)) return;
    console.error(`building the nats command line ${version} (once)`);
    const GOBIN = dirname(installed);
    await run('go', ['install', `github.com/nats-io/natscli/nats@${version}`], {
      env: { ...process.env, GOBIN },
      maxBuffer: 16 * 1024 * 1024,
    });
  });
  return installed;
}
