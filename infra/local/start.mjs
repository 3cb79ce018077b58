/**
 * `npm start`. Runs on any Node from 20 before anything is installed: installs the npm packages when they are not the
 * ones of the lock file, then runs src/main.ts on the Node that is among them.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const main = join(root, 'infra/local/src/main.ts');
const windows = process.platform === 'win32';
const projectNode = join(root, 'node_modules/node/bin', windows ? 'node.exe' : 'node');
/** The packages unpacked, the Node among them, and npm's downloads. */
const installMib = 700;
/** From here on Node runs TypeScript as it is. */
const typescriptSince = 24;

const major = Number(process.versions.node.split('.')[0]);
if (major < 20)
  fail(`Node 20 or newer is needed, and this is ${process.version}; install it and start again`);
if (!isInstalled()) install();
if (process.env.npm_lifecycle_event) stopWithParent();
if (major >= typescriptSince) await import(main);
else runOn(projectNode);

/** Whether node_modules holds what the lock file says; npm keeps its own record of what it installed there. */
function isInstalled() {
  try {
    const read = (file) => JSON.parse(readFileSync(join(root, file), 'utf8')).packages;
    const wanted = read('package-lock.json');
    const present = read('node_modules/.package-lock.json');
    return (
      existsSync(projectNode) &&
      Object.entries(wanted).every(
        ([path, { version, optional }]) => path === '' || optional || present[path]?.version === version,
      )
    );
  } catch {
    return false;
  }
}

function install() {
  const { bavail, bsize } = statfsSync(root);
  const freeMib = Math.floor((bavail * bsize) / 1024 / 1024);
  if (freeMib < installMib)
    fail(
      `the disk of ${root} has ${freeMib} MiB left, and ${installMib} MiB are needed to install; make room`,
    );
  console.log('installing npm packages (about 300 MB on disk, once)');
  const startedAtMs = Date.now();
  const command = existsSync(join(root, 'package-lock.json')) ? 'ci' : 'install';
  const { error, status, stderr } = spawnSync(
    windows ? 'npm.cmd' : 'npm',
    [command, '--no-audit', '--no-fund', '--loglevel=error'],
    { cwd: root, stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8', shell: windows },
  );
  if (error) fail(`npm could not be started (${error.message}); it comes with Node`);
  if (status !== 0) fail(`npm ${command} failed: ${reason(stderr)}; run it by hand to see more`);
  console.log(`  done in ${Math.round((Date.now() - startedAtMs) / 1000)} s`);
}

/** The line in which npm says why: after its codes, before its usage text. */
function reason(stderr) {
  if (/ENOSPC|no space left/i.test(stderr)) return 'the disk is full';
  const lines = stderr.split('\n').map((line) => line.replace(/^npm (error|ERR!) ?/, '').trim());
  return (
    lines.find((line) => line !== '' && !/^(code|errno|syscall|path) /.test(line)) ?? 'it did not say why'
  );
}

/** Hands this terminal to another Node. Its channel to us tells it when we are gone; a Ctrl-C it gets by itself. */
function runOn(node) {
  const child = spawn(node, [main], { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.once('error', (error) => fail(`${node} could not be started: ${error.message}`));
  child.once('exit', (code) => process.exit(code ?? 1));
}

/** npm may be killed without a chance to pass that on. */
function stopWithParent() {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM');
  }, 1_000).unref();
}

function fail(message) {
  console.error(`drover: ${message}`);
  process.exit(1);
}
