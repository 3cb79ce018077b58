import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { localClusters } from '../../infra/local/src/clusters.ts';
import { isAlive } from '../../infra/local/src/file-lock.ts';
import { projectRoot } from '../../infra/local/src/parts.ts';
import { type Ports, portVariables } from '../../infra/local/src/ports.ts';
import { type RunInfo, whoRuns } from '../../infra/local/src/run-lock.ts';
import { freePorts } from '../support/system.ts';

/** `npm start` as a stranger runs it, with real parts, on free ports and a state folder of its own. */
type Start = {
  readonly child: ChildProcess;
  /** What it has said so far. */
  output(): string;
  /** Resolves when it has said this. */
  says(text: string): Promise<void>;
  readonly exited: Promise<number | null>;
};

const stateDir = mkdtempSync(join(tmpdir(), 'drover-local-'));
const ports = await freePorts(localClusters.length);
const started: ChildProcess[] = [];
after(() => {
  for (const child of started) child.kill('SIGKILL');
  rmSync(stateDir, { recursive: true, force: true });
});

function start(env: Record<string, string> = {}): Start {
  const child = spawn(process.execPath, [join(projectRoot, 'infra/local/start.mjs')], {
    env: { ...process.env, ...environment(ports), DROVER_STATE_DIR: stateDir, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      output += data.toString();
    });
  }
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  return {
    child,
    output: () => output,
    says: (text) =>
      until(
        () => `"${text}" was said; so far:\n${output}`,
        () => {
          assert.ok(
            child.exitCode === null || output.includes(text),
            `it ended before "${text}":\n${output}`,
          );
          return output.includes(text);
        },
      ),
    exited,
  };
}

const environment = ({ llama, agentMetrics, ...single }: Ports): Record<string, string> => ({
  ...Object.fromEntries(
    (Object.keys(single) as (keyof typeof single)[]).map((key) => [portVariables[key], String(single[key])]),
  ),
  [portVariables.llama]: String(llama[0]),
  [portVariables.agentMetrics]: String(agentMetrics[0]),
});

async function until(what: () => string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 40_000;
  while (!(await holds())) {
    if (performance.now() > deadline) assert.fail(`not in 40 s: ${what()}`);
    await delay(50);
  }
}

async function running(): Promise<RunInfo> {
  const info = await whoRuns(stateDir);
  assert.ok(info, 'nothing runs');
  return info;
}

const allGone = (info: RunInfo) =>
  until(
    () => 'every process is gone',
    () => !Object.values(info.processes).some(isAlive),
  );

test('npm start ends with a line that streams a real answer when pasted, heals a part that dies, and stops without a trace', async () => {
  const drover = start();
  await drover.says('Stop everything: Ctrl-C');
  const info = await running();
  assert.equal(Object.keys(info.processes).length, 4 + 2 * localClusters.length);

  const paste = drover.output().match(/^curl .*$/m)?.[0] ?? '';
  const { stdout } = await promisify(execFile)('bash', ['-c', `${paste} --silent`]);
  assert.match(stdout, /"content":"/);
  assert.match(stdout, /data: \[DONE\]/);

  const second = start();
  assert.equal(await second.exited, 1);
  assert.match(second.output(), /^drover: Drover already runs here, at http/m);

  process.kill(info.processes['llama-aws-us-east-1'] ?? Number.NaN, 'SIGKILL');
  await drover.says('llama-aws-us-east-1 was ended by SIGKILL; starting it again in 0.5 s');
  await drover.says('llama-aws-us-east-1 is back');

  const last = await running();
  drover.child.kill('SIGINT');
  assert.equal(await drover.exited, 0);
  assert.match(drover.output(), /stopped; no process is left/);
  await allGone(last);
});

test('what a start that is killed leaves behind ends by itself', async () => {
  const killed = start();
  await killed.says('ingress  ');
  const info = await running();
  assert.ok(Object.keys(info.processes).length >= 8, 'the parts are told while they start');
  killed.child.kill('SIGKILL');
  await killed.exited;
  await allGone(info);
});

test('a start that is stopped half-way leaves no process', async () => {
  const drover = start();
  await drover.says('nats-server  ');
  const info = await running();
  drover.child.kill('SIGTERM');
  assert.equal(await drover.exited, 130);
  await allGone(info);
});

test('a port in use is named in one line with the part that wants it, and nothing is started', async () => {
  const other = createServer().listen(ports.http, '127.0.0.1');
  const drover = start();
  assert.equal(await drover.exited, 1);
  const message = `drover: port ${ports.http} is in use, and the ingress wants it (set HTTP_PORT to move it)\n`;
  assert.equal(drover.output(), message);
  await new Promise((resolve) => other.close(resolve));
});
