import type { OpenReply, Outcome, Reply, Unit, Usage } from '@drover/schemas';
import { type FlushPolicy, flushDelayMs } from '../core/flush.ts';
import { messagesOf } from '../core/messages.ts';

/** What the first message of an attempt says, apart from the fence and where it begins. */
export type Opening = Omit<OpenReply, 'v' | 'k' | 'f' | 'i'>;

/**
 * Says one reply on its subject: units in order, coalesced, and nothing before the claim stands. It keeps every unit,
 * because the client library drops what is published while disconnected, and another owner's units that it continues.
 *
 * States: waiting (no fence) ──own()──► speaking ──end() or mute()──► silent. Units pushed while waiting are kept.
 */
export class ReplyWriter {
  readonly #publish: (data: string) => void;
  readonly #policy: FlushPolicy;
  readonly #nowMs: () => number;
  readonly #units: Unit[] = [];
  #fence: number | undefined;
  #opening: Opening | undefined;
  #outcome: Outcome | undefined;
  #counted: Usage | undefined;
  /** Units that other owners said, and that this one has said too. */
  #from = 0;
  #said = 0;
  #opened = false;
  #silent = false;
  /** Something may have been lost on the way. */
  #doubtful = false;
  #lastMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: { publish: (data: string) => void; policy: FlushPolicy; nowMs: () => number }) {
    this.#publish = options.publish;
    this.#policy = options.policy;
    this.#nowMs = options.nowMs;
    this.#lastMs = options.nowMs();
  }

  /** Everything was said; all that can follow is the same again. */
  get isComplete(): boolean {
    return this.#outcome !== undefined;
  }

  /** All units of the reply so far, other owners' included. */
  get units(): readonly Unit[] {
    return this.#units;
  }

  /** The claim stands. `announce`: an earlier owner may still be talking, so say at once that it was replaced. */
  own(fence: number, announce: boolean): void {
    if (this.#silent) return;
    this.#fence = fence;
    if (announce) this.#say({ v: 1, k: 'claim', f: fence });
    this.#schedule();
  }

  /** Goes on after the units of earlier owners. Before the first `push`. */
  continueFrom(units: readonly Unit[]): void {
    this.#units.push(...units);
    this.#from = units.length;
    this.#said = units.length;
  }

  /** What to say before the first unit. */
  open(opening: Opening): void {
    this.#opening ??= opening;
  }

  /**
   * Takes units, and says them when they are due. `open` has to come first.
   * @param counted what llama.cpp had counted by the last of them, where units are no tokens
   */
  push(units: readonly Unit[], counted?: Usage): void {
    if (this.#silent) return;
    this.#counted = counted;
    // Not `push(...units)`: a long answer has more slices than a call may have arguments.
    for (const unit of units) this.#units.push(unit);
    this.#schedule();
  }

  /** Says everything that is waiting. Nothing happens without a fence. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#fence === undefined || this.#silent) return;
    this.#openOnce();
    if (this.#said === this.#units.length) return;
    const waiting = this.#units.slice(this.#said);
    this.#sayUnits(messagesOf(waiting, this.#said, this.#fence));
    this.#said = this.#units.length;
    this.#lastMs = this.#nowMs();
  }

  /**
   * Says the committed outcome; the reply is complete. After a loss it says everything once more: a reader that came
   * back later than this agent, to a stream that is new and empty, has no other place to get it from.
   */
  end(outcome: Outcome): void {
    this.flush();
    if (this.#doubtful) this.repeat();
    this.#outcome = outcome;
    if (this.#fence !== undefined && !this.#silent) this.#say({ v: 1, k: 'end', f: this.#fence, outcome });
  }

  /** Says everything again, from the first unit: some of it may have been lost. Readers drop what they have. */
  repeat(): void {
    this.#doubtful = true;
    if (this.#fence === undefined || this.#silent) return;
    const f = this.#fence;
    this.#say({ v: 1, k: 'claim', f });
    if (this.#opened && this.#opening) {
      this.#say({ v: 1, k: 'open', f, i: 0, ...this.#opening });
      this.#sayUnits(messagesOf(this.#units.slice(0, this.#said), 0, f));
    }
    if (this.#outcome) this.#say({ v: 1, k: 'end', f, outcome: this.#outcome });
  }

  /** Says nothing ever again: somebody else owns the request, or nobody needs to hear more. */
  mute(): void {
    this.#silent = true;
    clearTimeout(this.#timer);
  }

  #openOnce(): void {
    if (this.#opened || !this.#opening || this.#fence === undefined) return;
    this.#opened = true;
    this.#say({ v: 1, k: 'open', f: this.#fence, i: this.#from, ...this.#opening });
  }

  #schedule(): void {
    const pending = this.#units.length - this.#said;
    if (pending === 0 || this.#fence === undefined) return;
    const state = { said: this.#said > this.#from, lastMs: this.#lastMs, pending };
    const delayMs = flushDelayMs(this.#policy, state, this.#nowMs());
    if (delayMs === 0) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), delayMs);
  }

  #sayUnits(messages: readonly Reply[]): void {
    const last = messages.length - 1;
    for (const [index, message] of messages.entries())
      this.#say(index === last && message.k === 'deltas' ? withCount(message, this.#counted) : message);
  }

  #say(reply: Reply): void {
    this.#publish(JSON.stringify(reply));
  }
}

const withCount = (message: Extract<Reply, { k: 'deltas' }>, usage: Usage | undefined): Reply =>
  usage === undefined ? message : { ...message, usage };
