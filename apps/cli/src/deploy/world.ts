import { spawn } from 'node:child_process';
import { resolveNs } from 'node:dns/promises';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectRoot } from '../config.ts';
import type { Command } from '../core/deploy/types.ts';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));

export type Ran = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** What a deployment touches: programs, files of its folder, names and addresses. Tests give another one. */
export type World = {
  /** Never rejects: a program that is not there ends with 127. @param onLine hears what it says while it runs */
  run(command: Command, more?: { input?: string; onLine?: (line: string) => void }): Promise<Ran>;
  /** `drover` itself. */
  drover(
    words: readonly string[],
    env: Readonly<Record<string, string>>,
    onLine: (line: string) => void,
  ): Promise<Ran>;
  /** A program that runs beside others; ready once it has said so. @throws when it ends before that */
  beside(command: Command, ready: RegExp): Promise<AsyncDisposable>;
  /** A file of the deployment's folder; undefined when it is not there. */
  read(file: string): string | undefined;
  write(file: string, content: string): void;
  resolveNs(domain: string): Promise<string[]>;
  fetch: typeof fetch;
};

export const notFound = 127;

/** @param folder where keys and kubeconfigs are kept, readable by their owner only */
export function realWorld(folder: string, env: NodeJS.ProcessEnv): World {
  // Pulumi runs infra's TypeScript on the Node that it finds first: it has to be this one.
  const path = [dirname(process.execPath), env.PATH ?? ''].join(delimiter);
  const start = ({ argv: [program, ...args], cwd, env: more }: Command, input: 'pipe' | 'ignore') =>
    spawn(program, args, {
      cwd: cwd === undefined ? projectRoot : join(projectRoot, cwd),
      env: { ...env, PATH: path, ...more },
      stdio: [input, 'pipe', 'pipe'],
    });

  const run: World['run'] = async (command, { input, onLine } = {}) => {
    const child = start(command, input === undefined ? 'ignore' : 'pipe');
    const done = Promise.withResolvers<Ran>();
    let stdout = '';
    let stderr = '';
    const hear = byLine(onLine ?? (() => {}));
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      hear(text);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      hear(text);
    });
    child.once('error', (error) => done.resolve({ code: notFound, stdout, stderr: error.message }));
    child.once('close', (code) => done.resolve({ code: code ?? 1, stdout, stderr }));
    // A program that does not read its input ends before it is written.
    child.stdin?.on('error', () => {}).end(input);
    return done.promise;
  };

  return {
    run,
    drover: (words, more, onLine) => run({ argv: [process.execPath, main, ...words], env: more }, { onLine }),
    beside: async (command, ready) => {
      const child = start(command, 'ignore');
      const said = Promise.withResolvers<void>();
      let heard = '';
      const hear = (text: string) => {
        heard += text;
        if (ready.test(heard)) said.resolve();
      };
      child.stdout?.setEncoding('utf8').on('data', hear);
      child.stderr?.setEncoding('utf8').on('data', hear);
      child.once('error', (error) => said.reject(error));
      const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
      void ended.then(() => said.reject(new Error(heard.trim() || 'it ended at once')));
      await said.promise;
      return {
        [Symbol.asyncDispose]: async () => {
          child.kill();
          await ended;
        },
      };
    },
    read: (file) => {
      const full = join(folder, file);
      return existsSync(full) ? readFileSync(full, 'utf8') : undefined;
    },
    write: (file, content) => {
      const full = join(folder, file);
      mkdirSync(dirname(full), { recursive: true, mode: 0o700 });
      writeFileSync(full, content, { mode: 0o600 });
    },
    resolveNs,
    fetch,
  };
}

/** Hands on whole lines. */
function byLine(onLine: (line: string) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  };
}
