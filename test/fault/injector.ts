import { setTimeout as sleep } from 'node:timers/promises';
import type { ManagedProcess } from '../../infra/local/src/processes.ts';
import type { Part } from './bed.ts';
import { type Asked, type Fault, nextFault } from './faults.ts';
import type { FaultRecord, Victim } from './history.ts';
import type { Random } from './random.ts';

/** After a nats-server is back, it gets this long before the next one may be hit: peers have to catch up. */
const natsRestMs = 2_000;
const busyPauseMs = 50;
/** A link that comes back; the reconnect is the part's own. */
const healedMs = 500;
/** A part that ended by itself is started again, as a supervisor would; so is one that ended while it started. */
const watchEveryMs = 300;
const startsMax = 20;
/** One that runs and is not ready in 30 s is waited for so often. */
const lateMax = 3;

export type InjectorOptions = {
  readonly parts: readonly Part[];
  readonly random: Random;
  readonly asked: Asked;
  /** Who is hit by a fault of this part now. */
  readonly victims: (part: Part) => Victim[];
  readonly onFault: (fault: FaultRecord) => void;
};

/** Hits one part after the other, several at once, and brings each back. */
export class Injector {
  readonly faults: FaultRecord[] = [];
  /** Parts that ended without being told to, and when. */
  readonly crashes: { readonly part: string; readonly atMs: number }[] = [];
  readonly #options: InjectorOptions;
  readonly #out = new Set<string>();
  readonly #open = new Set<Promise<void>>();

  constructor(options: InjectorOptions) {
    this.#options = options;
  }

  /** What `--kills` counts: SIGKILLs, or every fault where nothing is killed. */
  get count(): number {
    const { asked } = this.#options;
    return this.faults.filter(({ what }) => what === 'kill' || !asked.faults.has('kill')).length;
  }

  /** Goes on until so many parts were killed; resolves when all are back. @throws when one does not come back */
  async run(kills: number, everyMs: number, signal: AbortSignal): Promise<void> {
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => {});
    const watch = setInterval(() => this.#startCrashed(failed.reject), watchEveryMs);
    try {
      await this.#hitAll(kills, everyMs, signal, failed);
    } finally {
      clearInterval(watch);
    }
  }

  async #hitAll(
    kills: number,
    everyMs: number,
    signal: AbortSignal,
    failed: PromiseWithResolvers<never>,
  ): Promise<void> {
    const { random, asked, parts } = this.#options;
    while (!signal.aborted && this.count < kills) {
      await Promise.race([sleep(random.between(everyMs / 2, everyMs * 1.5)), failed.promise]);
      let fault = nextFault(random, asked, parts, this.#out);
      while (fault === undefined && !signal.aborted) {
        await Promise.race([sleep(busyPauseMs), failed.promise]);
        fault = nextFault(random, asked, parts, this.#out);
      }
      if (fault === undefined) break;
      const one = this.#hit(fault).catch((error) => failed.reject(error));
      this.#open.add(one);
      void one.finally(() => this.#open.delete(one));
    }
    await Promise.race([Promise.all(this.#open), failed.promise]);
  }

  #startCrashed(onFailure: (error: unknown) => void): void {
    for (const { name, process } of this.#options.parts) {
      if (process.pid !== undefined || this.#out.has(name)) continue;
      this.crashes.push({ part: name, atMs: Date.now() });
      this.#out.add(name);
      startAgain(process).then(() => this.#out.delete(name), onFailure);
    }
  }

  async #hit(fault: Fault): Promise<void> {
    const part = this.#options.parts.find(({ name }) => name === fault.target.name);
    if (part === undefined) throw new Error(`no part ${fault.target.name}`);
    this.#out.add(part.name);
    const record: FaultRecord = {
      what: fault.what,
      part: part.name,
      kind: part.kind,
      atMs: Date.now(),
      lastsMs: fault.lastsMs,
      victims: this.#options.victims(part),
    };
    this.faults.push(record);
    this.#options.onFault(record);
    await happen(part, fault);
    record.backAtMs = Date.now();
    if (part.kind === 'nats') await sleep(natsRestMs);
    this.#out.delete(part.name);
  }
}

/** The fault from its beginning to the moment when the part serves again. */
async function happen({ process, proxies }: Part, fault: Fault): Promise<void> {
  switch (fault.what) {
    case 'kill':
      await process.kill('SIGKILL');
      await sleep(fault.lastsMs);
      await startAgain(process);
      return;
    case 'drain':
      await process.stop();
      await sleep(fault.lastsMs);
      await startAgain(process);
      return;
    case 'pause':
      await process.kill('SIGSTOP');
      await sleep(fault.lastsMs);
      await process.kill('SIGCONT');
      return;
    case 'partition':
      for (const proxy of proxies) fault.silent ? proxy.freeze() : proxy.cut();
      await sleep(fault.lastsMs);
      for (const proxy of proxies) fault.silent ? proxy.thaw() : proxy.heal();
      await sleep(healedMs);
      return;
    default:
      fault.what satisfies never;
  }
}

/** @throws what the last of many starts ended with, when it ended each time, or did not serve within minutes */
async function startAgain(process: ManagedProcess): Promise<void> {
  for (let start = 1, late = 0; ; start++) {
    try {
      return await process.start();
    } catch (error) {
      if (process.pid !== undefined) late++;
      if (start === startsMax || late === lateMax) throw error;
      await sleep(watchEveryMs);
    }
  }
}
