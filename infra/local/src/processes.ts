import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Guard } from './guard.ts';
import { Problem } from './problem.ts';

export type ProcessSpec = {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Resolves once the process serves; the signal aborts when it has ended, or is late. */
  readonly ready: (signal: AbortSignal) => Promise<void>;
  /** From SIGTERM to SIGKILL, in ms. */
  readonly stopWithinMs: number;
};

export type ProcessOptions = {
  readonly say: (line: string) => void;
  readonly guard: Guard;
  /** Start it again when it ends by itself. */
  readonly restart: boolean;
};

const readyWithinMs = 30_000;
/** The pause before a restart doubles from the first to the last while starts do not last `settledMs`. */
const backoffMs = { first: 500, last: 10_000 };
const settledMs = 10_000;

/**
 * One child process over its lives. States: stopped → starting → running → (ended by itself → starting again | stopped).
 * Each child leads a session of its own, so that a Ctrl-C in the terminal reaches only the process that stops the others
 * in the right order.
 */
export class ManagedProcess {
  readonly name: string;
  readonly #spec: ProcessSpec;
  readonly #options: ProcessOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #wanted = false;
  /** A first start that fails is the caller's to judge; only what has served once is started again. */
  #served = false;
  #failures = 0;
  #startedAtMs = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor(spec: ProcessSpec, options: ProcessOptions) {
    this.name = spec.name;
    this.#spec = spec;
    this.#options = options;
  }

  /** The process id while it runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Starts it unless it runs; resolves once it serves.
   * @throws Problem with the end of its log when it ended first, or did not serve in time
   */
  async start(): Promise<void> {
    this.#wanted = true;
    clearTimeout(this.#retry);
    if (this.#child === undefined) this.#launch();
    const ended = new AbortController();
    void this.#ended.then(() => ended.abort());
    const late = AbortSignal.timeout(readyWithinMs);
    try {
      await this.#spec.ready(AbortSignal.any([ended.signal, late]));
      this.#served = true;
    } catch (error) {
      if (!ended.signal.aborted && !late.aborted) throw error;
      const what = ended.signal.aborted ? 'ended while it started' : `was not ready in ${readyWithinMs} ms`;
      throw new Problem(`${this.name} ${what}: ${lastWords(this.#spec.logFile)} (${this.#spec.logFile})`);
    }
  }

  /** SIGTERM, and SIGKILL to one that takes too long. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#retry);
    const child = this.#child;
    if (child === undefined) return;
    child.kill('SIGTERM');
    const timer = setTimeout(() => {
      this.#options.say(`${this.name} did not stop in ${this.#spec.stopWithinMs} ms and was killed`);
      child.kill('SIGKILL');
    }, this.#spec.stopWithinMs);
    await this.#ended;
    clearTimeout(timer);
  }

  /** Sends a signal, as an accident would. Resolves when the process is gone, if the signal is one that ends it. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const ended = this.#ended;
    this.#child?.kill(signal);
    if (signal === 'SIGKILL' || signal === 'SIGTERM' || signal === 'SIGINT') await ended;
  }

  #launch(): void {
    const [command = '', ...args] = this.#spec.command;
    const log = openSync(this.#spec.logFile, 'a');
    const child = spawn(command, args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...this.#spec.env },
    });
    closeSync(log);
    this.#child = child;
    this.#startedAtMs = performance.now();
    if (child.pid !== undefined) this.#options.guard.watch(child.pid);
    this.#ended = new Promise((resolve) => {
      // A command that cannot be started has an error and no exit.
      child.once('error', () => resolve());
      child.once('exit', () => resolve());
    });
    void this.#ended.then(() => this.#onEnd(child));
  }

  #onEnd(child: ChildProcess): void {
    if (child.pid !== undefined) this.#options.guard.forget(child.pid);
    this.#child = undefined;
    if (!this.#wanted || !this.#served || !this.#options.restart) return;
    if (performance.now() - this.#startedAtMs > settledMs) this.#failures = 0;
    const pauseMs = Math.min(backoffMs.first * 2 ** this.#failures, backoffMs.last);
    this.#failures++;
    const how = child.signalCode ? `was ended by ${child.signalCode}` : `ended with code ${child.exitCode}`;
    this.#options.say(`${this.name} ${how}; starting it again in ${pauseMs / 1_000} s`);
    this.#retry = setTimeout(() => this.#startAgain(), pauseMs);
  }

  #startAgain(): void {
    this.start().then(
      () => this.#options.say(`${this.name} is back`),
      // It ended again, and says so itself; one that hangs stays as it is, for its log to be read.
      () => {},
    );
  }
}

/**
 * Runs a command to its end.
 * @throws Problem with the end of its log when it fails, or takes longer than a start may
 */
export async function runToEnd(
  name: string,
  command: readonly string[],
  options: {
    env: Readonly<Record<string, string>>;
    logFile: string;
    signal: AbortSignal;
    /** What may be the matter when it takes too long. */
    hint: string;
  },
): Promise<void> {
  const [file = '', ...args] = command;
  const log = openSync(options.logFile, 'a');
  const late = AbortSignal.timeout(readyWithinMs);
  const child = spawn(file, args, {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...options.env },
    signal: AbortSignal.any([options.signal, late]),
  });
  closeSync(log);
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', resolve);
  });
  if (code === 0) return;
  const why = late.aborted
    ? `did not finish in ${readyWithinMs} ms: ${options.hint}`
    : `failed: ${lastWords(options.logFile)}`;
  throw new Problem(`${name} ${why} (${options.logFile})`);
}

/** Resolves when `url` answers 200. Rejects when the signal aborts. */
export async function answers(url: string, signal: AbortSignal): Promise<void> {
  for (let pauseMs = 20; ; pauseMs = Math.min(pauseMs * 1.5, 200)) {
    signal.throwIfAborted();
    try {
      const { status, body } = await fetch(url, {
        signal: AbortSignal.any([signal, AbortSignal.timeout(2_000)]),
      });
      await body?.cancel();
      if (status === 200) return;
    } catch {
      // Not listening yet.
    }
    await delay(pauseMs);
  }
}

/** The line of a log that most likely says what went wrong. */
function lastWords(logFile: string): string {
  let lines: string[];
  try {
    lines = readFileSync(logFile, 'utf8').trim().split('\n').filter(Boolean);
  } catch {
    return `nothing was written to ${basename(logFile)}`;
  }
  const telling = lines.findLast((line) => /error|fatal|config:|cannot|in use/i.test(line)) ?? lines.at(-1);
  return (telling ?? 'it said nothing').trim().slice(0, 400);
}
