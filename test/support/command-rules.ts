import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { buckets, streams } from '@drover/schemas';
import { z } from 'zod';
import { commands } from '../../apps/cli/src/commands/table.ts';
import { CliError } from '../../apps/cli/src/errors.ts';
import { readCommandLine } from '../../apps/cli/src/run.ts';
import { projectRoot } from '../../infra/local/src/parts.ts';
import { type Call, callsOf, type Script, someWord } from './doc-commands.ts';

/** What is wrong with a call, in words; undefined when nothing is. */
type Rule = (call: Call, script: Script) => string | undefined;

const npm: Rule = (call, script) => {
  const args = call.argv.slice(1);
  const prefix = args.indexOf('--prefix');
  const folder = prefix < 0 ? call.folder : (args.splice(prefix, 2)[1] ?? '');
  const end = args.indexOf('--');
  const own = (end < 0 ? args : args.slice(0, end)).filter((arg) => !arg.startsWith('--'));
  const handedOn = end < 0 ? [] : args.slice(end + 1);
  const [verb = '', name = ''] = own;
  if (verb === 'ci' || verb === 'install') return undefined;
  if (verb === 'exec') return firstProblem({ ...script, text: own.at(-1) ?? '' });
  const wanted = verb === 'run' ? name : verb;
  const body = scriptsOf(folder)[wanted];
  if (body === undefined) return `there is no npm script "${wanted}" in ${folder || 'the root'}`;
  if (wanted === 'drover') return drover({ ...call, argv: ['drover', ...handedOn] }, script);
  const program = body.split(' ')[1] ?? '';
  return program.endsWith('.ts') ? flagsOf(program, handedOn) : undefined;
};

const scriptsOf = (folder: string): Readonly<Record<string, string>> =>
  z
    .object({ scripts: z.record(z.string(), z.string()) })
    .parse(JSON.parse(readFileSync(join(projectRoot, folder, 'package.json'), 'utf8'))).scripts;

const npx: Rule = (call, script) =>
  call.argv[1] === 'drover'
    ? drover({ ...call, argv: call.argv.slice(1) }, script)
    : `${call.argv[1]} is no command of this project`;

const drover: Rule = ({ argv }, { inline }) => {
  const args = argv.slice(1);
  if (args.length === 0 || args.includes('--help')) return undefined;
  if (inline && commands.some(({ name }) => name === args.join(' '))) return undefined;
  try {
    readCommandLine(args);
    return undefined;
  } catch (error) {
    if (error instanceof CliError) return error.message;
    throw error;
  }
};

const node: Rule = ({ argv, folder }) => {
  const at = argv.findIndex((arg, n) => n > 0 && !arg.startsWith('-'));
  const file = join(folder, argv[at] ?? '');
  if (at < 0 || !existsSync(join(projectRoot, file))) return `there is no file ${file}`;
  return argv.includes('--test') ? undefined : flagsOf(file, argv.slice(at + 1));
};

/** Each flag must be an option of `parseArgs` in the file, or in one of its folder that it imports. */
function flagsOf(file: string, args: readonly string[]): string | undefined {
  const text = sourceOf(file);
  for (const arg of args.filter((one) => one.startsWith('--'))) {
    const flag = arg.slice(2).split('=', 1)[0] ?? '';
    if (!new RegExp(`[\\s{]'?${flag}'?: \\{ type: '(string|boolean)'`).test(text))
      return `${file} has no flag ${arg}`;
  }
  return undefined;
}

function sourceOf(file: string): string {
  const text = readFileSync(join(projectRoot, file), 'utf8');
  const beside = [...text.matchAll(/from '(\.\/[\w-]+\.ts)'/g)].map(([, path = '']) => path);
  return [text, ...beside.map((path) => readFileSync(join(projectRoot, dirname(file), path), 'utf8'))].join(
    '\n',
  );
}

/** Of our own ingress: is there such a route? */
const curl: Rule = ({ argv }) => {
  const urls = argv.filter((arg) => /^https?:\/\//.test(arg)).map((url) => new URL(url));
  if (urls.length === 0) return 'it asks for no address';
  const ours = urls.filter(({ hostname, port }) => port === '8080' || hostname.startsWith('api.'));
  const unknown = ours.find(({ pathname }) => !routes().some((route) => route.test(pathname)));
  return unknown && `the ingress has no route ${unknown.pathname}`;
};

let known: readonly RegExp[] | undefined;
function routes(): readonly RegExp[] {
  if (known) return known;
  const folder = join(projectRoot, 'apps/ingress/src/http');
  const paths = readdirSync(folder).flatMap((file) =>
    [...readFileSync(join(folder, file), 'utf8').matchAll(/'(\/[a-z][\w/:*-]*)'/g)].map(
      ([, path = '']) => path,
    ),
  );
  known = paths.map((path) => new RegExp(`^(/v1)?${path.replaceAll(/:\w+/g, '[^/]+').replace('*', '.+')}$`));
  return known;
}

const nats: Rule = ({ argv }) => {
  const names = new Set<string>(
    [...Object.values(streams), ...Object.values(buckets)].map(({ name }) => name),
  );
  const unknown = argv.flatMap((arg) => arg.match(/LLM_[A-Z_]+/g) ?? []).find((name) => !names.has(name));
  return unknown && `the contract has neither a stream nor a bucket ${unknown}`;
};

const pulumi: Rule = (call) => {
  const settings = readFileSync(join(projectRoot, 'infra/src/config.ts'), 'utf8');
  const named = call.argv.flatMap((arg) => (arg.startsWith('drover:') ? [arg.slice('drover:'.length)] : []));
  const unknown = named.find((name) => !new RegExp(`\\b${name}\\b`).test(settings));
  return unknown === undefined ? undefined : `infra/src/config.ts knows no ${unknown}`;
};

/** Of those only the files that they name are looked at: their flags are their own, and they need a cluster to be run. */
const filesOnly: Rule = () => undefined;

const ofTheSystem = 'a program of the system, without a word about Drover';
const rules: Readonly<Record<string, Rule | string>> = {
  npm,
  npx,
  drover,
  node,
  curl,
  nats,
  pulumi,
  kubectl: filesOnly,
  helm: filesOnly,
  argocd: filesOnly,
  // as_producer of the example is a function: what it calls is seen, and the whole is run by producers.test.ts.
  jq: 'executed by test/integration/producers.test.ts',
  ...Object.fromEntries(
    ['cat', 'grep', 'mktemp', 'od', 'rm', 'tee', 'tr'].map((program) => [program, ofTheSystem]),
  ),
};

const ours = new RegExp(
  `^(\\.\\./)*(${['apps', 'argocd', 'charts', 'docs', 'infra', 'schemas', 'test'].join('|')})/`,
);

/** A file of ours that an argument names must be there. */
function missingFile({ argv, folder }: Call): string | undefined {
  const named = argv.slice(1).flatMap((arg) => (arg.split('=').at(-1) ?? '').split(','));
  const gone = named.find(
    (path) =>
      ours.test(path) &&
      !path.includes(someWord) &&
      !existsSync(join(projectRoot, normalize(join(folder, path)))),
  );
  return gone && `there is no file ${gone}`;
}

/** A variable that is set for one of our programs must be one of docs/configuration.md, which is compared with the code. */
function unknownVariable({ variables }: Call): string | undefined {
  const told = readFileSync(join(projectRoot, 'docs/configuration.md'), 'utf8');
  const unknown = variables.find(
    (name) =>
      !told.includes(`\`${name}\``) &&
      ![...told.matchAll(/`([A-Z_]+_)<[A-Z]+>`/g)].some(([, start = '']) => name.startsWith(start)),
  );
  return unknown && `docs/configuration.md has no variable ${unknown}`;
}

const readsVariables = new Set(['npm', 'npx', 'node', 'drover']);

function problemOf(call: Call, script: Script): string | undefined {
  const program = basename(call.argv[0] ?? '');
  const rule = rules[program];
  if (rule === undefined)
    return `nothing is known of ${program}: give it a rule, or the reason why it has none`;
  return (
    (typeof rule === 'string' ? undefined : rule(call, script)) ??
    missingFile(call) ??
    (readsVariables.has(program) ? unknownVariable(call) : undefined)
  );
}

/** What is wrong with a script; undefined when every command in it could be run as it stands. */
function firstProblem(script: Script, given: readonly string[] = []): string | undefined {
  let calls: Call[];
  try {
    calls = callsOf(script.text, given);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  for (const call of calls) {
    const problem = problemOf(call, script);
    if (problem !== undefined) return `${call.argv.join(' ').slice(0, 100)}: ${problem.split('\n')[0]}`;
  }
  return undefined;
}

/** What is wrong with the commands of one document, each with its place. */
export function problemsOf(scripts: readonly Script[]): string[] {
  const given: string[] = [];
  return scripts.flatMap((script) => {
    const problem = firstProblem(script, given);
    given.push(
      ...[...script.text.matchAll(/^export (.*)$/gm)].flatMap(
        ([, list = '']) => list.match(/\w+(?==)/g) ?? [],
      ),
    );
    return problem === undefined ? [] : [`${script.file}:${script.line}: ${problem}`];
  });
}
