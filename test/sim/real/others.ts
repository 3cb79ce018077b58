import { readFileSync } from 'node:fs';

const everyMs = 1_000;

/**
 * Watches what other work takes from the processors meanwhile: on a machine that is not quiet, the comparison says little.
 * By /proc, so only on Linux; elsewhere it knows nothing.
 */
export class Others {
  readonly #pids: () => Readonly<Record<string, number>>;
  readonly #own = new Map<number, { first: number; last: number }>();
  readonly #first: Times | undefined;
  readonly #timer: NodeJS.Timeout;

  /** @param pids of what belongs to the comparison; asked every second, since nodes come and go */
  constructor(pids: () => Readonly<Record<string, number>>) {
    this.#pids = pids;
    this.#first = machine();
    for (const pid of this.#all()) this.#note(pid, undefined);
    this.#timer = setInterval(() => this.#look(), everyMs);
  }

  /** The share of all processor time that went to others, in [0, 1]; undefined when nobody can tell. */
  stop(): number | undefined {
    clearInterval(this.#timer);
    this.#look();
    const last = machine();
    if (!this.#first || !last) return undefined;
    const own = [...this.#own.values()].reduce((sum, { first, last: now }) => sum + now - first, 0);
    const busy = last.busy - this.#first.busy;
    return Math.max(0, busy - own) / Math.max(1, last.all - this.#first.all);
  }

  /** What has started meanwhile has used nothing before. */
  #look(): void {
    for (const pid of this.#all()) this.#note(pid, 0);
  }

  #all(): number[] {
    return [...Object.values(this.#pids()), process.pid];
  }

  #note(pid: number, first: number | undefined): void {
    const now = ticksOf(pid);
    if (now !== undefined)
      this.#own.set(pid, { first: this.#own.get(pid)?.first ?? first ?? now, last: now });
  }
}

type Times = { readonly busy: number; readonly all: number };

function machine(): Times | undefined {
  const line = read('/proc/stat')?.split('\n')[0]?.trim().split(/\s+/).slice(1, 9).map(Number);
  if (!line) return undefined;
  const all = line.reduce((a, b) => a + b, 0);
  const [, , , idle = 0, iowait = 0] = line;
  return { busy: all - idle - iowait, all };
}

/** Processor time of a process so far, in ticks. */
function ticksOf(pid: number): number | undefined {
  const fields = read(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /s, '')
    .split(' ');
  return fields && Number(fields[11]) + Number(fields[12]);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
