import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inVariable, localClusters, localModel } from '../../infra/local/src/clusters.ts';
import { type Ports, portVariables } from '../../infra/local/src/ports.ts';
import { whoRuns } from '../../infra/local/src/run-lock.ts';
import { type FakeLlama, startFakeLlama } from '../support/fake-llama.ts';
import { freePorts } from '../support/system.ts';

const binary = fileURLToPath(new URL('../../apps/cli/bin/drover.mjs', import.meta.url));
const stateDir = mkdtempSync(join(tmpdir(), 'drover-up-'));
const llamas: FakeLlama[] = [];
let env: NodeJS.ProcessEnv;

before(async () => {
  for (const { slots } of localClusters) llamas.push(await startFakeLlama({ slots, alias: localModel }));
  const ports = await freePorts(localClusters.length);
  env = {
    ...process.env,
    ...portsIn(ports),
    ...Object.fromEntries(
      localClusters.map(({ id }, index) => [`LLAMA_URL_${inVariable(id)}`, llamas[index]?.url ?? '']),
    ),
    DROVER_STATE_DIR: stateDir,
  };
});
after(async () => {
  await drover('down');
  for (const llama of llamas) await llama[Symbol.asyncDispose]();
  rmSync(stateDir, { recursive: true, force: true });
});

const portsIn = (ports: Ports): Record<string, string> =>
  Object.fromEntries(
    Object.entries(portVariables).map(([key, variable]) => [
      variable,
      String([ports[key as keyof Ports]].flat()[0]),
    ]),
  );

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
async function drover(...args: string[]): Promise<{ code: number; out: string; notes: string }> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [binary, ...args], { env });
    return { code: 0, out: stdout, notes: stderr };
  } catch (error) {
    const { code, stdout, stderr } = Object(error);
    return { code, out: stdout, notes: stderr };
  }
}

test('up --detach starts the local system and returns when it serves; a second one is told where it runs', async () => {
  const { code, out, notes } = await drover('up', '--detach', '--no-autoscale', '--json');
  assert.equal(code, 0, notes);
  const { pid, url } = JSON.parse(out);
  const holder = await whoRuns(stateDir);
  assert.deepEqual([holder?.pid, holder?.url], [pid, url]);
  assert.equal((await fetch(`${url}/readyz`)).status, 200);
  const again = await drover('up', '--json');
  assert.equal(again.code, 1);
  const { error } = JSON.parse(again.notes);
  assert.equal(error.code, 'already_runs');
  assert.match(error.message, new RegExp(url));
});

test('the commands find the system that up has started, and it is sound', async () => {
  const { code, out, notes } = await drover('doctor', '--json');
  const failed = JSON.parse(out).filter(({ result }: { result: string }) => result === 'failed');
  assert.deepEqual(failed, [], notes);
  assert.equal(code, 0);
  assert.equal(JSON.parse((await drover('status', '--json')).out).clusters.length, localClusters.length);
});

test('down stops it and leaves no process; a second one finds none', async () => {
  const holder = await whoRuns(stateDir);
  const { code, out, notes } = await drover('down', '--json');
  assert.equal(code, 0, notes);
  assert.deepEqual(JSON.parse(out), { stopped: true });
  assert.ok(holder && Object.keys(holder.processes).length > 0);
  const giveUpMs = performance.now() + 10_000;
  for (const [name, pid] of Object.entries(holder.processes))
    while (isThere(pid)) {
      assert.ok(performance.now() < giveUpMs, `${name} is still there`);
      await sleep(50);
    }
  assert.match((await drover('down')).out, /does not run here/);
  assert.ok(existsSync(join(stateDir, 'up.log')));
});
