import {
  type Job,
  type Opened,
  type Outcome,
  type Portion,
  portionsOf,
  type ReplyMode,
  type Usage,
} from '@drover/schemas';
import type { Counted } from './core/counted.ts';
import type { RequestEvents } from './nats/events.ts';
import type { ReplyWriter } from './nats/reply-writer.ts';

/** Why an attempt is broken off from outside. */
export type StopReason = 'cancelled' | 'deadline' | 'drain' | 'stalled' | 'superseded';

/** One try at a request by this agent: from the claim to the commit. */
export class Attempt {
  readonly job: Job;
  /** Counted over all agents; what events and reports say. */
  readonly number: number;
  readonly mode: ReplyMode;
  readonly events: RequestEvents;
  readonly writer: ReplyWriter;
  /** When the job was received, on the monotonic clock. */
  readonly receivedMs: number;
  /** The sequence of the `running` event; undefined until the claim stands. */
  fence: number | undefined;
  /** The outcome is being committed: whoever asks now whether it is still the owner would see its own event. */
  settling = false;
  /** Tokens of the prompt as the client gave it, once llama.cpp has told. */
  promptTokens: number | undefined;
  /** What llama.cpp has counted of an answer whose units are no tokens, when it was asked last. */
  counted: Counted | undefined;
  /** What earlier attempts said of the reply that this one continues; undefined when nobody can tell any more. */
  earlier: readonly Portion[] | undefined = [];
  /** When llama.cpp first and last said something, on the monotonic clock. */
  firstMs: number | undefined;
  lastMs: number | undefined;
  readonly #controller = new AbortController();
  #stopped: StopReason | undefined;

  constructor(given: {
    job: Job;
    number: number;
    mode: ReplyMode;
    events: RequestEvents;
    writer: ReplyWriter;
    receivedMs: number;
  }) {
    this.job = given.job;
    this.number = given.number;
    this.mode = given.mode;
    this.events = given.events;
    this.writer = given.writer;
    this.receivedMs = given.receivedMs;
  }

  /** Aborted by `stop`: closes the connection to llama.cpp, which frees its slot. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get stopped(): StopReason | undefined {
    return this.#stopped;
  }

  /** Breaks the attempt off. The first reason stands; who was superseded has nothing more to say. */
  stop(reason: StopReason): void {
    if (reason === 'superseded') this.writer.mute();
    this.#stopped ??= reason;
    this.#controller.abort(new Error(reason));
  }

  /** What the reply counts so far, earlier owners' tokens included. The slices of a body are not tokens. */
  get outputTokens(): number {
    return this.mode === 'body' ? 0 : this.writer.units.length;
  }

  /** What was used when the attempt ends early; undefined while llama.cpp has not said anything. */
  get usage(): Usage | undefined {
    if (this.counted !== undefined) return this.counted.usage;
    if (this.promptTokens === undefined) return undefined;
    return { promptTokens: this.promptTokens, completionTokens: this.outputTokens };
  }

  /** What its replies and the ledger are told about who is to be paid. */
  get opened(): Opened {
    const { cluster, usdPer1k, usdPer1kPrompt } = this.job;
    return {
      mode: this.mode,
      attempt: this.number,
      cluster,
      ...(this.promptTokens === undefined ? {} : { promptTokens: this.promptTokens }),
      ...(this.earlier === undefined || this.earlier.length === 0 ? {} : { earlier: [...this.earlier] }),
      ...(usdPer1k === undefined ? {} : { usdPer1k }),
      ...(usdPer1kPrompt === undefined ? {} : { usdPer1kPrompt }),
    };
  }

  /**
   * Who said how many tokens of the reply that `outcome` ends; undefined when nobody can tell. An attempt that said nothing
   * has no part in it.
   */
  metered(outcome: Outcome): Portion[] | undefined {
    if (this.earlier === undefined || outcome.status === 'done') return this.#portions(outcome.usage);
    const saidSomething = this.firstMs !== undefined || this.counted !== undefined;
    return saidSomething ? this.#portions(outcome.usage) : [...this.earlier];
  }

  /** The same of a reply that others go on with. Nothing of a body was said: they begin it again. */
  get meteredSoFar(): Portion[] | undefined {
    if (this.mode === 'body') return [];
    return this.metered({ status: 'cancelled', units: this.writer.units.length, usage: this.usage });
  }

  #portions(usage: Usage | undefined): Portion[] | undefined {
    if (this.earlier === undefined) return undefined;
    const portions = portionsOf(this.opened, this.writer.units, usage);
    const last = portions.pop();
    if (last === undefined) return portions;
    const isAll = usage !== this.counted?.usage || this.counted?.isAll !== false;
    return [...portions, isAll ? last : { ...last, uncounted: true }];
  }

  /** Mean gap between two units of this attempt, in ms; 0 before there is one. */
  get meanGapMs(): number {
    if (this.firstMs === undefined || this.lastMs === undefined || this.outputTokens < 2) return 0;
    return (this.lastMs - this.firstMs) / (this.outputTokens - 1);
  }
}
