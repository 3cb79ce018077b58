import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { projectRoot } from '../../infra/local/src/parts.ts';

/** Shell text of a document. */
export type Script = {
  readonly file: string;
  /** Of the first line of the text, from 1. */
  readonly line: number;
  readonly text: string;
  /** In running text a command may be named without its arguments. */
  readonly inline: boolean;
};

/** One program that a script starts. */
export type Call = {
  readonly argv: readonly string[];
  /** Variables that the script has set for it. */
  readonly variables: readonly string[];
  /** Where the script has changed to, from the root of the project. */
  readonly folder: string;
};

const skipped = new Set(['node_modules', '.git', '.drover', '.mirror']);

/** Every Markdown file of the project, from its root. */
export function documents(folder = ''): string[] {
  return readdirSync(join(projectRoot, folder), { withFileTypes: true })
    .filter(({ name }) => !skipped.has(name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return documents(path);
      return entry.name.endsWith('.md') ? [path] : [];
    })
    .sort();
}

const fence = /^( *)```(\w*)[^\n]*\n([\s\S]*?)^\1```$/gm;
const shells = new Set(['sh', 'bash', 'shell', 'console']);
/** In running text, what begins so is meant to be typed. */
const typed = /`((?:npx drover|drover|npm|node|kubectl|helm|pulumi|argocd|nats|curl) [^`\n]+)`/g;

/** What a document tells its reader to type: fenced blocks of shell, and commands in running text. */
export function scriptsIn(file: string, document: string): Script[] {
  const lineAt = (index: number) => document.slice(0, index).split('\n').length;
  const fenced = [...document.matchAll(fence)].flatMap((match): Script[] => {
    const [, indent = '', language = '', body = ''] = match;
    if (!shells.has(language)) return [];
    const flush = body.replaceAll(new RegExp(`^${indent}`, 'gm'), '');
    const text = language === 'console' ? typedIn(flush) : flush;
    return [{ file, line: lineAt(match.index) + 1, text, inline: false }];
  });
  // Blocks of any language hold no running text; blank lines keep the numbers.
  const running = document.replaceAll(fence, (block) => block.replaceAll(/[^\n]/g, ''));
  const lines = running.split('\n').flatMap((line, index) =>
    [...line.matchAll(typed)].map(
      ([, text = '']): Script => ({
        file,
        line: index + 1,
        text: text.replaceAll(/[[\]]/g, ' '),
        inline: true,
      }),
    ),
  );
  return [...fenced, ...lines];
}

/** Of a session, the lines behind a prompt, each with those that continue it. */
function typedIn(session: string): string {
  const kept: string[] = [];
  let goesOn = false;
  for (const line of session.split('\n')) {
    if (goesOn || line.startsWith('$ ')) kept.push(goesOn ? line : line.slice(2));
    else kept.push('');
    goesOn = line.endsWith('\\') && (goesOn || line.startsWith('$ '));
  }
  return kept.join('\n');
}

/** Notes each program in a file of its own instead of starting it: those of a pipe run at once. Also where `cd` has led. */
const recorder = `
folder=.
cd() { folder="$folder/$1"; }
command_not_found_handle() {
  local names; names=$(compgen -e)
  printf '%s\\0' "$folder" "$names" "$@" > "$RECORD/$BASHPID"
}
`;

/** A reader's own word in a command: \`<cluster>\`. */
const placeholder = /<([A-Za-z][\w -]*)>/g;
export const someWord = 'PLACEHOLDER';

/**
 * Has a real bash read the text, with every program replaced by one that notes its arguments.
 * @param given names of variables that the reader has by then   @throws Error with what bash says when it cannot read it
 */
export function callsOf(text: string, given: readonly string[] = []): Call[] {
  const folder = mkdtempSync(join(tmpdir(), 'drover-docs-'));
  const record = join(folder, 'record');
  const here = join(folder, 'here');
  mkdirSync(record);
  mkdirSync(here);
  try {
    const { stderr, error } = spawnSync(
      '/bin/bash',
      ['--norc', '--noprofile', '-c', recorder + text.replaceAll(placeholder, someWord), 'docs', 'argument'],
      {
        cwd: here,
        env: {
          ...Object.fromEntries(given.map((name) => [name, someWord])),
          PATH: join(folder, 'nothing'),
          RECORD: record,
        },
        encoding: 'utf8',
        timeout: 10_000,
      },
    );
    if (error) throw error;
    // A shell that has understood says nothing.
    if (stderr.trim() !== '') throw new Error(stderr.trim().split('\n')[0]);
    return readdirSync(record)
      .sort((one, other) => Number(one) - Number(other))
      .map((file) => readCall(readFileSync(join(record, file), 'utf8'), given));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const ofTheShell = new Set(['PATH', 'PWD', 'OLDPWD', 'SHLVL', '_', 'RECORD']);

function readCall(record: string, given: readonly string[]): Call {
  const [folder = '', names = '', ...argv] = record.split('\0').slice(0, -1);
  const known = new Set([...ofTheShell, ...given]);
  return {
    argv,
    variables: names.split('\n').filter((name) => name !== '' && !known.has(name)),
    folder: relative(projectRoot, join(projectRoot, folder)),
  };
}
