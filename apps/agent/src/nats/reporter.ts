import type { Nats } from '@drover/runtime';
import { type Report, subjects } from '@drover/schemas';

const idleEveryMs = 1_000;
/** Who runs something is missed soon: schedulers move its jobs when five of these reports have not come. */
const busyEveryMs = 250;
/** Changes closer together than this share one report. */
const quietMs = 50;

export type ReportBody = Omit<Report, 'v' | 'cluster' | 'agent' | 'seq' | 'startedAtMs' | 'sentAtMs'>;

/** All that it needs of NATS. */
type Publisher = { readonly nc: Pick<Nats['nc'], 'publish'> };

/** Publishes what the agent knows, every second (four times as often while it runs jobs), and soon after each change. */
export class Reporter {
  readonly #nats: Publisher;
  readonly #who: Pick<Report, 'cluster' | 'agent'>;
  readonly #body: () => ReportBody;
  readonly #isBusy: () => boolean;
  readonly #startedAtMs = Date.now();
  readonly #ticker: NodeJS.Timeout;
  #seq = 0;
  #sentMs = Number.NEGATIVE_INFINITY;
  #quiet: NodeJS.Timeout | undefined;
  #changed = false;

  constructor(
    nats: Publisher,
    who: Pick<Report, 'cluster' | 'agent'>,
    body: () => ReportBody,
    isBusy: () => boolean,
  ) {
    this.#nats = nats;
    this.#who = who;
    this.#body = body;
    this.#isBusy = isBusy;
    this.#ticker = setInterval(() => this.#tick(), busyEveryMs);
  }

  /** Something that schedulers act on has changed: the first of a burst is told at once, the last at its end. */
  changed(): void {
    if (this.#quiet) this.#changed = true;
    else this.#send();
  }

  /** For what schedulers must know before they hear of what comes next on this connection. */
  now(): void {
    this.#send();
  }

  /** Says what has not been said yet: schedulers would send jobs to an agent whose last word was `ready`. */
  stop(): void {
    clearInterval(this.#ticker);
    if (this.#changed) this.#send();
    clearTimeout(this.#quiet);
  }

  #tick(): void {
    // Timers are early or late by a little: half a turn decides which one this is.
    const isDue = performance.now() - this.#sentMs > idleEveryMs - busyEveryMs / 2;
    if (isDue || this.#isBusy()) this.#send();
  }

  #send(): void {
    this.#changed = false;
    this.#sentMs = performance.now();
    const report: Report = {
      v: 1,
      ...this.#who,
      seq: this.#seq++,
      startedAtMs: this.#startedAtMs,
      sentAtMs: Date.now(),
      ...this.#body(),
    };
    this.#nats.nc.publish(subjects.report(this.#who.cluster, this.#who.agent), JSON.stringify(report));
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => {
      this.#quiet = undefined;
      if (this.#changed) this.#send();
    }, quietMs);
  }
}
