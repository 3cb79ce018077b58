import type { Outcome, Usage } from './messages/outcome.ts';
import type { Reply, ReplyMode } from './messages/reply.ts';

/** The smallest thing a reader gets exactly once. */
export type Unit =
  | { readonly k: 'token'; readonly id: number; readonly t: string }
  | { readonly k: 'delta'; readonly choices: readonly unknown[] }
  | { readonly k: 'body'; readonly t: string };

export type OpenReply = Extract<Reply, { k: 'open' }>;

/**
 * - `applied`: the transcript knows more than before (or the same again, from the same owner).
 * - `stale`: from an owner that has been replaced; ignored.
 * - `gap`: something before this message is missing; nothing was taken. Read the replies again from the stream.
 * - `conflict`: an owner says something else about a unit that is already here, or ends before it. Only a stale owner that
 *   slipped in a token behind its successor's back can cause it, and only if the sampling was random.
 */
export type Acceptance = 'applied' | 'stale' | 'gap' | 'conflict';

/**
 * How the replies of one request compose into one sequence of units: the rules that readers and continuing agents share.
 * Fed in the order of the stream (or of one subscription), whatever was lost, repeated or said by a replaced owner,
 * `units` is a prefix of the true reply.
 */
export class Transcript {
  /** The highest fence seen; lower ones are stale. */
  fence = 0;
  /** The attempt that said the latest units. */
  open: OpenReply | undefined;
  readonly units: Unit[] = [];
  outcome: Outcome | undefined;
  /** Tokens that the backend had counted by the latest units, where their owner says so. */
  counted: Usage | undefined;
  /** Set by a restart of a `body` reply: readers drop what they hold. */
  restarts = 0;

  get mode(): ReplyMode | undefined {
    return this.open?.mode;
  }

  /** Nothing can follow: the outcome is known, and every unit that it counts is here. */
  get complete(): boolean {
    return this.outcome !== undefined && this.units.length >= this.outcome.units;
  }

  /** Whether every unit of `other` is here, in its place. A body agrees with any: it is shown only as a whole. */
  extends(other: Transcript): boolean {
    return this.mode === 'body' || other.units.every((unit, index) => sameUnit(this.units[index], unit));
  }

  accept(reply: Reply): Acceptance {
    if (reply.f < this.fence) return 'stale';
    switch (reply.k) {
      case 'claim':
        this.fence = reply.f;
        return 'applied';
      case 'open':
        return this.#begin(reply);
      case 'end':
        return this.#end(reply);
      case 'wait':
        return 'stale';
      default:
        return this.#add(reply);
    }
  }

  #begin(open: OpenReply): Acceptance {
    if (open.f === this.open?.f) return 'applied';
    if (open.i > this.units.length) return 'gap';
    if (open.mode === 'body') {
      // Nothing of a body is shown before it is whole, so an attempt replaces it.
      if (this.units.length > 0) this.restarts++;
      this.units.length = 0;
    } else if (this.units.length > 0 && (open.mode !== this.mode || open.mode === 'deltas')) {
      // Deltas cannot be continued: another owner says another answer, from its beginning.
      return 'conflict';
    }
    this.fence = open.f;
    this.open = open;
    return 'applied';
  }

  #end(reply: Extract<Reply, { k: 'end' }>): Acceptance {
    if (this.outcome !== undefined) return 'applied';
    const { status, units } = reply.outcome;
    if (units > this.units.length) return 'gap';
    // An owner whose `open` was missed: whether it went on from what is here, or said something else, is unknown.
    if (status === 'done' && this.units.length > 0 && reply.f !== this.open?.f) return 'gap';
    // The owner that finished counts fewer units than are here: the rest came from a stale one.
    if (status === 'done' && units < this.units.length) return 'conflict';
    this.fence = reply.f;
    this.outcome = reply.outcome;
    return 'applied';
  }

  #add(reply: Extract<Reply, { k: 'tokens' | 'deltas' | 'body' }>): Acceptance {
    // An owner whose `open` was missed: where it begins is unknown.
    if (reply.f !== this.open?.f || reply.i > this.units.length) return 'gap';
    const said = unitsOf(reply);
    const known = this.units.length - reply.i;
    for (const [offset, unit] of said.entries()) {
      if (offset >= known) this.units.push(unit);
      else if (!sameUnit(this.units[reply.i + offset], unit)) return 'conflict';
    }
    if (reply.k === 'deltas' && reply.i + said.length === this.units.length) this.counted = reply.usage;
    return 'applied';
  }
}

function unitsOf(reply: Extract<Reply, { k: 'tokens' | 'deltas' | 'body' }>): Unit[] {
  switch (reply.k) {
    case 'tokens':
      return reply.ids.map((id, index) => ({ k: 'token', id, t: reply.t[index] ?? '' }));
    case 'deltas':
      return reply.d.map((choices) => ({ k: 'delta', choices }));
    case 'body':
      return [{ k: 'body', t: reply.t }];
  }
}

/** Deltas carry times and ids of the backend, so only their position is compared. */
function sameUnit(a: Unit | undefined, b: Unit): boolean {
  if (a === undefined || a.k !== b.k) return false;
  if (a.k === 'token' && b.k === 'token') return a.id === b.id;
  if (a.k === 'body' && b.k === 'body') return a.t === b.t;
  return true;
}
