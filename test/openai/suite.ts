import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensureLlama, type Say, stateDir } from '../../infra/local/src/parts.ts';

const run = promisify(execFile);

const version = '3.54.0';
const folder = join(stateDir, 'openai');
const source = join(folder, `openai-${version}`);
const venv = join(folder, 'venv');
const stamp = join(folder, 'installed');

/** The library under test (with its second HTTP client), and what its tests import. */
const wheels = [
  `openai[aiohttp]==${version}`,
  ...['pytest', 'pytest-asyncio', 'pytest-xdist', 'respx', 'rich', 'inline-snapshot', 'trio'],
  ...['time-machine', 'dirty-equals', 'nest-asyncio'],
];

/** The files of the suite that concern what Drover serves. */
const files = [
  'tests/api_resources/chat/test_completions.py',
  'tests/api_resources/test_completions.py',
  'tests/api_resources/test_embeddings.py',
  'tests/api_resources/test_models.py',
];

/** Leaves out stored completions, fine-tuned models and the retrieval of a model that only OpenAI has. */
const selection = 'create or (models and list)';

/** What runs the selected tests, and where. */
export type Suite = {
  readonly command: readonly string[];
  readonly cwd: string;
  /** Every name that the tests give a model. */
  readonly models: readonly string[];
};

/** Unpacks the source distribution of the openai package and installs what its tests need, once. */
export async function ensureSuite(say: Say): Promise<Suite> {
  const wanted = wheels.join('\n');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
    say(`installing openai ${version} and its tests (once)`);
    await install();
    writeFileSync(stamp, wanted);
  }
  const python = join(venv, 'bin', 'python');
  return {
    command: [
      python,
      '-m',
      'pytest',
      '-n',
      '6',
      '--durations',
      '0',
      '--durations-min',
      '20',
      '-q',
      '-k',
      selection,
      ...files,
    ],
    cwd: source,
    models: modelNames(),
  };
}

async function install(): Promise<void> {
  await ensureLlama(() => {});
  const python = join(stateDir, 'venv', 'bin', 'python');
  const pip = ['-m', 'pip', '--disable-pip-version-check', '--quiet'];
  mkdirSync(folder, { recursive: true });
  const sdist = ['--no-deps', '--no-binary', ':all:', `openai==${version}`];
  await run(python, [...pip, 'download', '--dest', folder, ...sdist]);
  await run('tar', ['-xf', join(folder, `openai-${version}.tar.gz`), '-C', folder]);
  await run(python, ['-m', 'venv', '--clear', venv]);
  await run(join(venv, 'bin', 'python'), [...pip, 'install', ...wheels]);
}

function modelNames(): string[] {
  const names = files.flatMap((file) => {
    const text = readFileSync(join(source, file), 'utf8');
    return [...text.matchAll(/^\s+model="([^"]+)",$/gm)].flatMap(([, name]) => name ?? []);
  });
  return [...new Set(names)];
}
