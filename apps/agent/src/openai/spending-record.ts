import { type Logger, lastMessage, type Nats, publishIfLast } from '@drover/runtime';
import {
  type ProviderLimit,
  parseMessage,
  type Spending,
  spending,
  streams,
  subjects,
} from '@drover/schemas';
import {
  type Budget,
  current,
  type Hold,
  hold,
  leftUsd,
  noSpending,
  type Prices,
  resumesInMs,
  settled,
  withUnpriced,
} from '../core/openai/spending.ts';

const stream = streams.spending.name;
/** As many others may write between our reading and our writing. */
const roundsMax = 10;
const patienceMs = 3_000;
/** While the record cannot be read nothing starts for this long, then it is tried again. */
const unknownMs = 2_000;

type Read = { readonly value: Spending; readonly revision: number };
type Parts = {
  readonly nats: Nats;
  readonly log: Logger;
  readonly cluster: string;
  readonly writer: string;
  readonly budget: Budget;
};

/**
 * What the provider has been paid, in LLM_SPENDING, so that no restart forgets it and several agents of a cluster share one
 * budget. Without a budget nothing is read or written.
 */
export class SpendingRecord {
  readonly #parts: Parts;
  readonly #subject: string;
  #known: Read | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #writes = 0;
  #unknownUntilMs = 0;
  /** The least that did not fit. A budget that cannot hold a request any more is spent. */
  #shortUsd: number | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#subject = subjects.spending(parts.cluster);
  }

  get #isBudgeted(): boolean {
    const { day, month } = this.#parts.budget;
    return day !== undefined || month !== undefined;
  }

  /** What was spent in this day and month, as last read; undefined without a budget. */
  get spent(): Spending | undefined {
    return this.#isBudgeted && this.#known ? current(this.#known.value, Date.now()) : undefined;
  }

  limit(): ProviderLimit | undefined {
    if (!this.#isBudgeted) return undefined;
    const nowMs = Date.now();
    if (nowMs < this.#unknownUntilMs)
      return { reason: 'budget-unknown', resumesInMs: this.#unknownUntilMs - nowMs };
    if (!this.#known) return undefined;
    const { budget } = this.#parts;
    const left = leftUsd(this.#known.value, budget, nowMs);
    if (this.#shortUsd !== undefined && left >= this.#shortUsd) this.#shortUsd = undefined;
    const needed = this.#shortUsd ?? Number.MIN_VALUE;
    if (left >= needed) return undefined;
    return {
      reason: 'budget-spent',
      resumesInMs: resumesInMs(this.#known.value, budget, needed, nowMs),
    };
  }

  /** Reads what was spent before. @throws when JetStream does not answer */
  async load(): Promise<void> {
    if (this.#isBudgeted) await this.#enqueue(() => this.#read());
  }

  /**
   * Holds the most that a request can cost; undefined when it does not fit into a budget.
   * @throws when JetStream does not answer: what was spent is not known then
   */
  async hold(prices: Prices, boundUsd: number): Promise<Hold | undefined> {
    if (!this.#isBudgeted) return { usd: boundUsd, day: '', month: '' };
    const { budget } = this.#parts;
    let held: Hold | undefined;
    try {
      await this.#update((value, nowMs) => {
        const taken = hold(value, budget, prices, boundUsd, nowMs);
        held = taken?.hold;
        return taken?.next;
      });
    } catch (error) {
      this.#unknownUntilMs = Date.now() + unknownMs;
      throw error;
    }
    if (!held) this.#shortUsd = Math.min(boundUsd, this.#shortUsd ?? Number.POSITIVE_INFINITY);
    return held;
  }

  /** The request did cost `usd`. What cannot be written leaves the bound, which is never too little. Never rejects. */
  async settle(held: Hold, usd: number): Promise<void> {
    if (this.#isBudgeted) await this.#note((value, nowMs) => settled(value, held, usd, nowMs));
  }

  /** Tokens that were bought before their price was known. Never rejects. */
  async addUnpriced(promptTokens: number, completionTokens: number): Promise<void> {
    if (this.#isBudgeted) await this.#note((value) => withUnpriced(value, promptTokens, completionTokens));
  }

  async #note(change: (value: Spending, nowMs: number) => Spending): Promise<void> {
    try {
      await this.#update(change);
    } catch (error) {
      const { log, cluster } = this.#parts;
      log.warn({ cluster, error: String(error) }, 'what a request cost could not be noted; its bound stays');
    }
  }

  /** Writes what `change` makes of the record; nothing when it makes undefined. */
  #update(change: (value: Spending, nowMs: number) => Spending | undefined): Promise<void> {
    return this.#enqueue(async () => {
      for (let round = 0; round < roundsMax; round++) {
        const isFresh = this.#known === undefined;
        const { value, revision } = this.#known ?? (await this.#read());
        const next = change(value, Date.now());
        if (next === undefined) {
          if (isFresh) return;
          // Another agent may have given back meanwhile what is missing.
          this.#known = undefined;
        } else if (await this.#write(next, revision)) return;
      }
      throw new Error('too many write the spending record at once');
    });
  }

  /** One after the other: agents of one process would only defeat each other's writes. */
  #enqueue<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(act);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #read(): Promise<Read> {
    const last = await lastMessage(this.#parts.nats, stream, this.#subject);
    if (last === null) {
      this.#known = { value: noSpending(Date.now()), revision: 0 };
    } else {
      const parsed = parseMessage(spending, last.data);
      if (!parsed.ok) throw new Error(`spending of ${this.#parts.cluster}: ${parsed.problem}`);
      this.#known = { value: parsed.value, revision: last.seq };
    }
    return this.#known;
  }

  async #write(next: Spending, lastSeq: number): Promise<boolean> {
    const value = { ...next, writtenBy: `${this.#parts.writer} ${++this.#writes}` };
    this.#known = undefined;
    const revision = await publishIfLast(this.#parts.nats, stream, this.#subject, JSON.stringify(value), {
      guard: this.#subject,
      lastSeq,
      giveUpAfterMs: patienceMs,
    });
    if (revision === null) return false;
    this.#known = { value, revision };
    return true;
  }
}
