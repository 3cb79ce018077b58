import { apiErrors, EventLog, isApiError, type Nats } from '@drover/runtime';
import {
  type Event,
  meter,
  type OpenReply,
  type Outcome,
  type Portion,
  parseMessage,
  type Reply,
  type RequestId,
  reply,
  seenOf,
  subjects,
  Transcript,
  type Unit,
} from '@drover/schemas';
import type { Msg, Subscription } from 'nats';
import { Channel } from './channel.ts';
import { replay } from './replay.ts';

export type ReplyEvent =
  /** An attempt began, or took over. */
  | { readonly kind: 'open'; readonly open: OpenReply }
  /** Units `at … at + units.length - 1`: without gaps, in order, each exactly once. */
  | { readonly kind: 'units'; readonly at: number; readonly units: readonly Unit[] }
  /** Nobody can take the request yet; about how long that will last, in ms, when anybody knows. */
  | { readonly kind: 'waiting'; readonly etaMs: number | undefined }
  /** Exactly one, the last. */
  | { readonly kind: 'end'; readonly outcome: Outcome };

export type Submission = {
  readonly id: RequestId;
  /** The id had been submitted before; this submission joined it. */
  readonly duplicate: boolean;
  readonly events: AsyncIterable<ReplyEvent>;
  /** Hash of the first submission's body, once known: a joiner compares it with its own. */
  bodyHash(): string | undefined;
  /** Tells the fleet that nobody wants the answer; the reply then ends with `cancelled`. */
  cancel(): void;
  /** Stops reading. The request goes on. */
  close(): void;
};

export type ReaderOptions = {
  readonly tenant: string;
  readonly id: RequestId;
  /** The first unit wanted: a reader that comes back has the ones before. */
  readonly from?: number;
  /** What those are, as `seenAfter` counts it. When they are not the reply's, it ends with `continuation_impossible`. */
  readonly seen?: number;
  /** When the reader gives up; wall clock, ms. Absent: never. */
  readonly deadlineAtMs?: number;
  /**
   * Makes the outcome when the deadline has passed and nobody else has; resolves to the committed one. `metered` is who
   * has said which tokens, as far as this reader has heard.
   */
  readonly expire?: (metered: Portion[]) => Promise<Outcome>;
};

// Timers hold no process alive: the connection does, and without it there is nothing to wait for.

/** Without a message for so long, a reader asks for the truth. Doubles up to `silenceMaxMs` while nothing changes. */
const silenceMs = 1_500;
const silenceMaxMs = 12_000;
/** The scheduler and the agent end an expired request themselves; the reader is the last resort. */
const deadlineGraceMs = 1_000;
/** When JetStream has not answered by then, whoever says the reply is asked to say it again. */
const askAfterMs = 250;
/** A known outcome whose units cannot be had after so many attempts is a lost result … */
const replaysMax = 8;
/** … or one that is gone, when LLM_REPLIES has nothing of it at all; sooner when it ended too long ago to be said again. */
const longAgo = { ms: 60_000, replaysMax: 2 };

/**
 * Follows the reply of one request until its outcome, whatever is lost on the way: a gap, a reconnect or a silence is
 * mended from LLM_REPLIES, and an `end` that was missed from LLM_EVENTS.
 */
export class ReplyReader {
  readonly events = new Channel<ReplyEvent>();
  /** Called once, when nothing is read any more. */
  onClose: (() => void) | undefined;
  readonly #nats: Nats;
  readonly #options: ReaderOptions;
  readonly #subscription: Subscription;
  readonly #subjectEnd: string;
  #transcript = new Transcript();
  #emitted: number;
  #openEmitted = 0;
  /** What the reader had seen before is the beginning of this reply. */
  #isSame: boolean;
  #silence = silenceMs;
  #timer: NodeJS.Timeout | undefined;
  #timerMs = 0;
  #deadline: NodeJS.Timeout | undefined;
  #closed = false;
  #mending = false;
  #mendAgain = false;
  /** Live messages that came while the replay was read. */
  readonly #meanwhile: Reply[] = [];
  #fruitless = 0;
  #isStored = false;
  #bodyHash: string | undefined;
  readonly #onReconnect = () => this.mend();

  constructor(nats: Nats, options: ReaderOptions) {
    this.#nats = nats;
    this.#options = options;
    this.#emitted = options.from ?? 0;
    this.#isSame = this.#emitted === 0;
    this.#subjectEnd = `.${options.tenant}.${options.id}`;
    this.#subscription = nats.nc.subscribe(subjects.reply('*', options.tenant, options.id), {
      callback: (error, message) => (error ? this.mend() : this.#receive(message)),
    });
    nats.onReconnect(this.#onReconnect);
    this.#restartSilence();
    if (options.deadlineAtMs !== undefined) {
      const delayMs = Math.max(0, options.deadlineAtMs - Date.now()) + deadlineGraceMs;
      // Timers hold at most 31 bits of milliseconds; no deadline is that far away in earnest.
      this.#deadline = setTimeout(() => this.#expire(), Math.min(delayMs, 2 ** 31 - 1)).unref();
    }
  }

  get bodyHash(): string | undefined {
    return this.#transcript.open?.bodyHash ?? this.#bodyHash;
  }

  /** Whether anything at all is known of the request. */
  get known(): boolean {
    return this.#transcript.fence > 0 || this.#transcript.outcome !== undefined || this.#sawEvent;
  }
  #sawEvent = false;

  /** Whether JetStream has said, at least once, all that it knows of the request. */
  get hasLooked(): boolean {
    return this.#hasLooked;
  }
  #hasLooked = false;

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#deadline);
    this.#subscription.unsubscribe();
    this.#nats.offReconnect(this.#onReconnect);
    this.events.end();
    this.onClose?.();
  }

  /** Ends the reply with an outcome of the reader's own. */
  finish(outcome: Outcome): void {
    if (this.#closed) return;
    this.events.push({ kind: 'end', outcome });
    this.close();
  }

  /** Reads everything that is stored about the request. Safe to call at any time; calls while one runs are folded. */
  mend(): void {
    if (this.#closed) return;
    if (this.#mending) {
      this.#mendAgain = true;
      return;
    }
    this.#mending = true;
    const ask = setTimeout(() => this.#askAgain(), askAfterMs).unref();
    void this.#readStored()
      // The link is down or JetStream is between leaders: the silence timer tries again.
      .catch(() => this.#askAgain())
      .finally(() => {
        clearTimeout(ask);
        this.#mending = false;
        const again = this.#mendAgain;
        this.#mendAgain = false;
        if (again) this.mend();
        else this.#restartSilence();
      });
  }

  #receive(message: Msg): void {
    // What another tenant makes the server deliver here keeps the subject it was stored on.
    if (!message.subject.endsWith(this.#subjectEnd)) return;
    const parsed = parseMessage(reply, message.data);
    if (!parsed.ok) return;
    this.#silence = silenceMs;
    if (parsed.value.k === 'wait') this.events.push({ kind: 'waiting', etaMs: parsed.value.etaMs });
    else if (this.#mending) this.#passOn(parsed.value);
    else this.#accept(parsed.value);
  }

  /** The agent may be well while the stream is between two leaders: what it repeats is heard as all that it says. */
  #askAgain(): void {
    const { tenant, id } = this.#options;
    if (!this.#closed && this.#nats.connected()) this.#nats.nc.publish(subjects.again(tenant, id));
  }

  /** What follows on what is here is shown at once, however long the mending takes; all of it is judged again after that. */
  #passOn(message: Reply): void {
    this.#meanwhile.push(message);
    const answer = this.#transcript.accept(message);
    if (answer === 'applied') this.#emit();
    // What contradicts what was shown must not be followed by an end that fits by its count alone.
    if (answer === 'conflict') this.#conflict();
  }

  #accept(message: Reply): void {
    switch (this.#transcript.accept(message)) {
      case 'applied':
        this.#emit();
        break;
      case 'gap':
        this.mend();
        break;
      case 'conflict':
        this.#conflict();
        break;
      case 'stale':
        break;
    }
  }

  async #readStored(): Promise<void> {
    const { tenant, id } = this.#options;
    // Without the event log, what was said still counts.
    const last = await new EventLog(this.#nats, tenant, id).last().catch(() => undefined);
    // The stream lives in memory: where it is gone, nothing is known to have been said.
    const stored = await replay(this.#nats, tenant, id).catch((error) => {
      if (isApiError(error, apiErrors.streamNotFound)) return [];
      throw error;
    });
    if (this.#closed) return;
    if (last !== undefined) this.#hasLooked = true;
    this.#isStored = stored.length > 0;
    if (!this.#rebuild(stored)) {
      this.#conflict();
      return;
    }
    if (last) {
      this.#sawEvent = true;
      this.#bodyHash = last.event.bodyHash;
      if (last.event.state === 'ended') this.#learnOutcome(last.event, last.seq);
    }
    this.#emit();
  }

  /** Takes what is stored, and what came meanwhile. False when it contradicts what was handed on already. */
  #rebuild(stored: readonly Reply[]): boolean {
    const before = this.#transcript;
    const rebuilt = new Transcript();
    for (const message of stored) rebuilt.accept(message);
    // The stream may have missed what this reader heard: who owns the request, and where that owner began.
    if (before.open !== undefined) rebuilt.accept(before.open);
    rebuilt.accept({ v: 1, k: 'claim', f: before.fence });
    const heard = this.#meanwhile.splice(0);
    // A log whose beginning aged out rebuilds nothing; what is already here is then the better start.
    if (rebuilt.units.length < before.units.length) heard.unshift(...stored);
    else if (rebuilt.extends(before)) this.#transcript = rebuilt;
    else return false;
    return heard.every((message) => this.#transcript.accept(message) !== 'conflict');
  }

  #learnOutcome({ outcome, attempt, atMs }: Extract<Event, { state: 'ended' }>, seq: number): void {
    const { open, fence } = this.#transcript;
    // The event does not say the fence of its owner; its attempt does.
    const f = open?.attempt === attempt ? open.f : Math.max(seq, fence);
    const answer = this.#transcript.accept({ v: 1, k: 'end', f, outcome });
    if (answer === 'conflict') this.#conflict();
    if (answer !== 'gap') return;
    // The stream may have missed what its owner still knows.
    this.#askAgain();
    // Nothing more will be said: what is not there within seconds will not come.
    this.#silence = silenceMs;
    this.#fruitless++;
    const nothing = !this.#isStored && this.#transcript.units.length === 0;
    const enough = nothing && Date.now() - atMs > longAgo.ms ? longAgo.replaysMax : replaysMax;
    if (this.#fruitless >= enough) this.finish(nothing ? this.#gone() : this.#lost());
  }

  #conflict(): void {
    this.finish({
      status: 'failed',
      code: 'continuation_impossible',
      message:
        'Two attempts said different things; the reply cannot be continued without repeating or losing tokens.',
      units: this.#emitted,
    });
  }

  /** Whether what is here goes on from what the reader had seen before; ends the reply when it does not. */
  #goesOn(): boolean {
    const { units, outcome, mode } = this.#transcript;
    const { from = 0, seen } = this.#options;
    // A body is shown as a whole: nobody has a part of one.
    if (mode === 'body') return true;
    if (units.length < from && outcome?.status !== 'done') return true;
    this.#isSame = seen === undefined || seenOf(units.slice(0, from)) === seen;
    if (!this.#isSame) this.#conflict();
    return this.#isSame;
  }

  #emit(): void {
    const { open, units, outcome, complete, mode } = this.#transcript;
    if (!this.#isSame && !this.#goesOn()) return;
    if (open !== undefined && open.f !== this.#openEmitted) {
      this.#openEmitted = open.f;
      this.events.push({ kind: 'open', open });
    }
    // A body is of use only when it is whole, and may be replaced until then.
    if (units.length > this.#emitted && (mode !== 'body' || complete)) {
      this.events.push({ kind: 'units', at: this.#emitted, units: units.slice(this.#emitted) });
      this.#emitted = units.length;
    }
    if (outcome !== undefined && complete) this.finish(outcome);
    else this.#restartSilence();
  }

  /** Called for every message, so a timer that still has the right length is only wound up again. */
  #restartSilence(): void {
    if (this.#closed) return;
    if (this.#timer !== undefined && this.#timerMs === this.#silence) {
      this.#timer.refresh();
      return;
    }
    clearTimeout(this.#timer);
    this.#timerMs = this.#silence;
    this.#timer = setTimeout(() => {
      this.#silence = Math.min(this.#silence * 2, silenceMaxMs);
      this.mend();
    }, this.#silence).unref();
  }

  #expire(): void {
    const late: Outcome = {
      status: 'failed',
      code: 'deadline_exceeded',
      message: 'The deadline passed before the answer was complete.',
      units: this.#emitted,
    };
    const made = this.#options.expire?.(meter(this.#transcript)) ?? Promise.resolve(late);
    // JetStream unreachable: the client must still be told, and its deadline has passed.
    void made.catch(() => late).then((outcome) => this.#finishLate(outcome));
  }

  /** The reply may have ended just before its deadline, with units that were missed: a shorter one must not pass for it. */
  async #finishLate(outcome: Outcome): Promise<void> {
    if (outcome.units > this.#emitted) await this.#readStored().catch(() => {});
    this.finish(outcome.units > this.#emitted ? this.#lost() : outcome);
  }

  /** What a reader hears that comes when LLM_REPLIES keeps nothing of the reply any more, however long that is here. */
  #gone(): Outcome {
    return {
      status: 'failed',
      code: 'gone',
      message: 'The request ended; its reply is no longer stored.',
      units: this.#emitted,
    };
  }

  /** What a reader hears of an outcome whose reply it cannot have as a whole. */
  #lost(): Outcome {
    return {
      status: 'failed',
      code: 'result_lost',
      message: 'The request was completed, but part of its reply is no longer stored.',
      units: this.#emitted,
    };
  }
}
