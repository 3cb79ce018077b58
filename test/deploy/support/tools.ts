import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { withFileLock } from '../../../infra/local/src/file-lock.ts';
import { findPython, onPath, stateDir } from '../../../infra/local/src/parts.ts';
import { readDefinitions, writeCoreSchemas } from './core-schemas.ts';
import { writeCrdSchemas } from './crd-schemas.ts';
import { goTools, helmUnittest, kubernetes, pythonTools } from './versions.ts';

const execFileAsync = promisify(execFile);

export const toolsDir = join(stateDir, 'tools');
const bin = join(toolsDir, 'bin');
const python = join(toolsDir, 'python');
const publishedSchemas = join(toolsDir, 'schemas/published');

/** Paths of everything the deployment checks run. */
export const tools = {
  helm: join(bin, 'helm'),
  helmUnittest: join(bin, 'helm-unittest'),
  kubeconform: join(bin, 'kubeconform'),
  actionlint: join(bin, 'actionlint'),
  promtool: join(bin, 'promtool'),
  hadolint: join(python, 'bin/hadolint'),
  zizmor: join(python, 'bin/zizmor'),
  shellcheck: join(python, 'bin/shellcheck'),
  yamllint: join(python, 'bin/yamllint'),
  /** JSON Schemas of Kubernetes' own kinds, and of the custom resources we use. */
  kubernetesSchemas: join(toolsDir, 'schemas/kubernetes'),
  crdSchemas: join(toolsDir, 'schemas/crds'),
} as const;

/** The output of a command, whether it succeeded or not. Throws only when it could not be started. */
export async function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; input?: string; timeoutMs?: number } = {},
): Promise<{ ok: boolean; output: string; stdout: string }> {
  const { input, timeoutMs = 120_000, ...rest } = options;
  const running = execFileAsync(command, [...args], { maxBuffer: 64 << 20, timeout: timeoutMs, ...rest });
  running.child.stdin?.end(input ?? '');
  try {
    const { stdout, stderr } = await running;
    return { ok: true, output: stdout + stderr, stdout };
  } catch (error) {
    const { stdout, stderr, code } = Object(error);
    if (typeof code === 'string') throw new Error(`${command} could not be run: ${code}`);
    return { ok: false, output: `${stdout}${stderr}`, stdout: String(stdout) };
  }
}

/** The standard output of a command that must succeed. @throws with what the command said */
export async function must(
  command: string,
  args: readonly string[],
  options: Parameters<typeof run>[2] = {},
): Promise<string> {
  const { ok, output, stdout } = await run(command, args, options);
  if (!ok) throw new Error(`${command} ${args.join(' ')} failed:\n${output}`);
  return stdout;
}

/**
 * Installs what is missing into `.drover/tools`, once for all test files and processes; about two minutes on a fresh
 * machine with two cores, most of it the compilation of helm.
 * @throws with the name of the tool that could not be had, and what was tried
 */
export async function ensureTools(): Promise<void> {
  mkdirSync(bin, { recursive: true });
  await withFileLock(join(toolsDir, 'lock'), async () => {
    const compiled = async () => {
      for (const [name, module] of Object.entries(goTools))
        await once(name, module, () => installGo(name, module));
      await once('helm-unittest', helmUnittest, installHelmUnittest);
    };
    const unpacked = async () => {
      await once('python', `${pythonTools.join()} ${kubernetes}`, installPython);
      await once('schemas', schemasVersion(), async () => writeSchemas());
    };
    // Compiling keeps the processors busy, the others wait for the network.
    await Promise.all([compiled(), unpacked(), once('promtool', 'debian prometheus', installPromtool)]);
  });
}

/** What the schemas are made from: the packages, and the code that reads them. */
function schemasVersion(): string {
  const lock = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  const models = lock.split('\n').filter((line) => line.includes('@kubernetes-models/'));
  const code = ['./crd-schemas.ts', './core-schemas.ts', './versions.ts'].map((file) =>
    readFileSync(new URL(file, import.meta.url), 'utf8'),
  );
  return createHash('sha256')
    .update([...models, ...code].join())
    .digest('hex');
}

function writeSchemas(): void {
  writeCoreSchemas(publishedSchemas, tools.kubernetesSchemas);
  writeCrdSchemas(tools.crdSchemas, readDefinitions(publishedSchemas));
}

async function once(name: string, version: string, install: () => Promise<void>): Promise<void> {
  const stamp = join(toolsDir, `${name}.installed`);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === version) return;
  process.stderr.write(`installing ${name} for the deployment checks\n`);
  try {
    await install();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`the deployment checks need ${name}, and it could not be installed: ${why}`, { cause });
  }
  writeFileSync(stamp, version);
}

async function installGo(name: string, module: string): Promise<void> {
  const go = onPath('go');
  if (!go) throw new Error(`${module} is built with Go, and there is no go on the PATH`);
  await must(go, ['install', '-ldflags=-s -w', module], {
    env: { ...process.env, GOBIN: bin, GOFLAGS: '-buildvcs=false' },
    timeoutMs: 600_000,
  });
  if (!existsSync(join(bin, name))) throw new Error(`go install ${module} made no ${name}`);
}

async function installHelmUnittest(): Promise<void> {
  const go = onPath('go');
  if (!go) throw new Error(`${helmUnittest} is built with Go, and there is no go on the PATH`);
  const env = { ...process.env, GOFLAGS: '-buildvcs=false' };
  const found = await must(go, ['mod', 'download', '-json', helmUnittest], { env, timeoutMs: 300_000 });
  const { Dir: cwd } = z.object({ Dir: z.string() }).parse(JSON.parse(found));
  const args = ['build', '-ldflags=-s -w', '-o', tools.helmUnittest, './cmd/helm-unittest'];
  await must(go, args, { cwd, env, timeoutMs: 600_000 });
}

async function installPython(): Promise<void> {
  await must(await findPython(), ['-m', 'venv', '--clear', python]);
  await must(
    join(python, 'bin/python'),
    ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', ...pythonTools],
    { timeoutMs: 300_000 },
  );
  const lib = join(python, 'lib');
  const found = readdirSync(lib)
    .map((version) => join(lib, version, 'site-packages/kubernetes_validate/kubernetes-json-schema'))
    .find((folder) => existsSync(folder));
  if (!found) throw new Error('kubernetes-validate has no schemas');
  // The unpacked package holds every release of Kubernetes, half a gigabyte; one of them is asked.
  rmSync(publishedSchemas, { recursive: true, force: true });
  cpSync(join(found, `v${kubernetes}-local-strict`), publishedSchemas, { recursive: true });
  rmSync(found, { recursive: true });
}

/** Debian's `prometheus` package, unpacked and not installed. A promtool on the PATH wins. */
async function installPromtool(): Promise<void> {
  const own = onPath('promtool');
  if (own) return cpSync(own, tools.promtool);
  const folder = mkdtempSync(join(toolsDir, 'prometheus-'));
  try {
    const download = () => run('apt-get', ['download', 'prometheus'], { cwd: folder });
    if (!(await download()).ok) {
      await run('apt-get', ['update', '-qq']);
      const second = await download();
      if (!second.ok)
        throw new Error(`neither a promtool on the PATH nor Debian's package: ${second.output}`);
    }
    const [deb] = readdirSync(folder);
    if (!deb) throw new Error('apt-get downloaded nothing');
    await must('dpkg', ['-x', join(folder, deb), folder]);
    cpSync(join(folder, 'usr/bin/promtool'), tools.promtool);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
