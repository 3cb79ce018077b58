import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, command, readNumber } from '../command.ts';
import { projectRoot } from '../config.ts';
import { CliError } from '../errors.ts';
import { type RunInfo, whoRuns } from '../local.ts';

const lookEveryMs = 500;
const starter = join(projectRoot, 'infra/local/start.mjs');

/** The whole of Drover on this machine, as `npm start` has it. */
export const up = command({
  name: 'up',
  usage: '[--no-autoscale] [--detach] [--timeout-s <seconds>] [--json]',
  summary: 'starts Drover on this machine; --detach leaves it running',
  options: {
    json: { type: 'boolean' },
    detach: { type: 'boolean' },
    'no-autoscale': { type: 'boolean' },
    'timeout-s': { type: 'string', default: '600' },
  },
  run: async ({ values }, context) => {
    const { io, stateDir } = context;
    const running = await whoRuns(stateDir);
    if (running)
      throw new CliError('already_runs', `Drover runs here already, at ${running.url}; drover down stops it`);
    const env = { ...context.env, ...(values['no-autoscale'] ? { AUTOSCALE: 'off' } : {}) };
    const detach = values.detach === true;
    const log = join(stateDir, 'up.log');
    // With --json standard output is for the result alone.
    const child = detach ? startDetached(env, log) : startHere(env, values.json === true);
    const heard = detach ? () => readFileSync(log, 'utf8') : hearing(child, io);
    const ended = new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => resolve(code ?? 1));
    });
    const timeoutMs = readNumber('--timeout-s', values['timeout-s'], 1) * 1_000;
    if (detach && !values.json) io.note(`starting; what it says is in ${log}`);
    if (detach || values.json) {
      const info = await isUp(context, ended, timeoutMs, heard, detach ? log : undefined);
      if (values.json) io.out(JSON.stringify({ pid: info.pid, url: info.url, stateDir }));
      else io.out(`Drover is up at ${info.url}; drover down stops it`);
    }
    if (detach) {
      child.unref();
      return;
    }
    // A Ctrl-C reaches it by itself, as it is of the same group; other signals do not.
    io.leaving.addEventListener('abort', () => child.kill('SIGTERM'));
    if ((await ended) !== 0 && !io.leaving.aborted)
      throw new CliError('failed', 'it ended; what it said is above');
  },
});

/** Stops what `drover up --detach` (or `npm start`) has started. */
export const down = command({
  name: 'down',
  usage: '[--timeout-s <seconds>] [--json]',
  summary: 'stops Drover on this machine, after what it runs',
  options: {
    json: { type: 'boolean' },
    'timeout-s': { type: 'string', default: '60' },
  },
  run: async ({ values }, { io, stateDir }) => {
    const giveUpMs = performance.now() + readNumber('--timeout-s', values['timeout-s'], 1) * 1_000;
    const running = await whoRuns(stateDir);
    if (running) process.kill(running.pid, 'SIGTERM');
    while (running && (await whoRuns(stateDir))) {
      if (performance.now() > giveUpMs) throw new CliError('timeout', `process ${running.pid} still runs`);
      await sleep(lookEveryMs);
    }
    if (values.json) io.out(JSON.stringify({ stopped: running !== undefined }));
    else io.out(running ? 'Drover is stopped.' : 'Drover does not run here.');
  },
});

const startHere = (env: NodeJS.ProcessEnv, quietOut: boolean): ChildProcess =>
  spawn(process.execPath, [starter], {
    cwd: projectRoot,
    env,
    stdio: ['ignore', quietOut ? 'pipe' : 'inherit', 'inherit'],
  });

/** Hands on what it says as notes, and keeps it. */
function hearing({ stdout }: ChildProcess, io: Context['io']): () => string {
  let heard = '';
  stdout?.setEncoding('utf8').on('data', (text: string) => {
    heard += text;
    io.note(text.trimEnd());
  });
  return () => heard;
}

/** What the local run says when every part of it serves. */
const whenUp = /^Drover is up/m;

function startDetached(env: NodeJS.ProcessEnv, log: string): ChildProcess {
  mkdirSync(join(log, '..'), { recursive: true });
  const file = openSync(log, 'w');
  // By this npm says that it is above; the run would then end with it, and with us.
  const { npm_lifecycle_event: _, ...own } = env;
  return spawn(process.execPath, [starter], {
    cwd: projectRoot,
    env: own,
    detached: true,
    stdio: ['ignore', file, file],
  });
}

/** @throws CliError `failed` when it ends before, `timeout` */
async function isUp(
  { io, stateDir }: Context,
  ended: Promise<number>,
  timeoutMs: number,
  heard: () => string,
  log: string | undefined,
): Promise<RunInfo> {
  const giveUpMs = performance.now() + timeoutMs;
  const where = log === undefined ? 'what it said is above' : `see ${log}`;
  let over = false;
  void ended.then(
    () => {
      over = true;
    },
    () => {
      over = true;
    },
  );
  while (!io.leaving.aborted) {
    const info = whenUp.test(heard()) ? await whoRuns(stateDir) : undefined;
    if (info) return info;
    if (over) throw new CliError('failed', `it ended before it was up; ${where}`);
    if (performance.now() > giveUpMs)
      throw new CliError('timeout', `not up within ${timeoutMs / 1_000} s; ${where}`);
    await sleep(lookEveryMs, undefined, { signal: io.leaving }).catch(() => {});
  }
  throw new CliError('declined', 'left before it was up');
}
