import { buckets } from '@drover/schemas';
import type { StoredMsg } from '@nats-io/jetstream';
import { headers, nuid } from 'nats';
import { z } from 'zod';
import { lastAfterRefusal } from './compare-and-set.ts';
import { apiErrors, isApiError } from './jetstream.ts';
import type { Logger } from './log.ts';
import type { Nats } from './nats.ts';

/** The bucket as a stream: reading and writing with compare-and-set needs no more than that. */
const stream = `KV_${buckets.leases.name}`;
/** A holder stops believing in its lease this much before the server does: two clocks never run quite alike. */
const doubtFraction = 0.1;
/** How often the server is asked, by who waits for the lease. */
const lookEveryMs = 250;

const claim = z.object({ holder: z.string(), claim: z.string() });

type Claimed = { readonly token: number; readonly revision: number; readonly claim: string };

export type LeaseOptions = {
  readonly nats: Nats;
  readonly log: Logger;
  /** What only one process may do; one token of a subject. */
  readonly duty: string;
  /** Who asks, for people who look. */
  readonly holder: string;
  /** Whole seconds, at least 1: how long a silent holder keeps the others waiting. */
  readonly ttlSeconds: number;
  /** The token when the lease was won, null when it is lost. Must not throw. */
  readonly onChange?: (token: number | null) => void;
  /** Milliseconds of a clock that never goes back. Default: this process's. */
  readonly nowMs?: () => number;
};

/**
 * The right to do something that only one process may do at a time: a key of the bucket LLM_LEASES with a life of its own.
 *
 *     waiting ──claimed──► held ──renewed every third of its life──► held
 *        ▲                  │
 *        └── not renewed in time, taken over, or stopped ◄──┘
 *
 * `token` is the fence: the stream sequence of the claim, so each holder's is higher than those of all before it. It is null
 * unless this process may act *now*: the lease is counted from before its last renewal was sent, by a monotonic clock, so a
 * process that was paused for longer finds null as soon as it looks. Between looking and acting it can be paused again.
 * Only the resource can refuse it then: write with `publishFenced`, or carry the token to whatever is written to.
 */
export class Lease {
  readonly #options: LeaseOptions;
  readonly #ttlMs: number;
  readonly #subject: string;
  readonly #nowMs: () => number;
  #timer: NodeJS.Timeout | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #started = false;
  #turn: Promise<void> = Promise.resolve();
  #listening: { unsubscribe(): void } | undefined;
  #held: (Claimed & { readonly untilMs: number }) | undefined;
  /** The holder has said, since the last look began, that it leaves. */
  #isFree = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#ttlMs = options.ttlSeconds * 1_000;
    this.#subject = `$KV.${buckets.leases.name}.${options.duty}`;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** The fence while this process may act, else null. Ask before each action, not once per lease. */
  get token(): number | null {
    return this.#held !== undefined && this.#nowMs() < this.#held.untilMs ? this.#held.token : null;
  }

  /** Tries to get the lease, and to keep it, until `stop`. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    // A holder that leaves says so on the key itself.
    this.#listening = this.#options.nats.nc.subscribe(this.#subject, {
      callback: (_error, message) => {
        if (this.#held !== undefined || message.headers?.get('KV-Operation') !== 'DEL') return;
        this.#isFree = true;
        this.#soon(0);
      },
    });
    this.#soon(0);
  }

  /** Gives the lease back, so that another process has it at once. Resolves when the server knows, or cannot be told. */
  async stop(): Promise<void> {
    this.#started = false;
    clearTimeout(this.#timer);
    this.#listening?.unsubscribe();
    await this.#turn;
    const held = this.#held;
    this.#lose();
    if (held !== undefined) await this.#release(held.revision);
  }

  #soon(delayMs: number): void {
    clearTimeout(this.#timer);
    if (!this.#started) return;
    this.#timer = setTimeout(() => {
      this.#turn = this.#turn.then(() => this.#look());
    }, delayMs);
  }

  /** One look at the lease: renew it, or try to get it. Never rejects. */
  async #look(): Promise<void> {
    if (!this.#started) return;
    let nextMs = lookEveryMs;
    this.#isFree = false;
    try {
      if (this.#held !== undefined && this.token === null) this.#lose();
      await (this.#held === undefined ? this.#claim() : this.#renew(this.#held));
      if (this.#held !== undefined) nextMs = this.#ttlMs / 3;
    } catch (error) {
      // No answer: what is held stays held until it runs out.
      this.#options.log.warn({ duty: this.#options.duty, error: String(error) }, 'lease not settled');
    }
    // It may have been given back after this look had read it.
    this.#soon(this.#isFree && this.#held === undefined ? 0 : nextMs);
  }

  async #claim(): Promise<void> {
    const last = await this.#last();
    if (last !== null && !isGone(last)) return;
    const id = nuid.next();
    const sentMs = this.#nowMs();
    const revision = await this.#write(id, last?.seq ?? 0);
    if (revision !== null) this.#hold({ token: revision, revision, claim: id }, sentMs);
  }

  async #renew(held: Claimed): Promise<void> {
    let { revision } = held;
    for (let round = 0; round < 2; round++) {
      const sentMs = this.#nowMs();
      const renewed = await this.#write(held.claim, revision);
      if (renewed !== null) {
        this.#hold({ ...held, revision: renewed }, sentMs);
        return;
      }
      const last = await lastAfterRefusal(this.#options.nats, stream, this.#subject, revision);
      if (last === null || isGone(last) || claimOf(last) !== held.claim) break;
      // An earlier renewal was stored and its answer was lost: it is still ours.
      revision = last.seq;
    }
    this.#lose();
  }

  #hold(claimed: Claimed, sentMs: number): void {
    const isNew = this.#held === undefined;
    const untilMs = sentMs + this.#ttlMs * (1 - doubtFraction);
    this.#held = { ...claimed, untilMs };
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => this.#lose(), Math.max(0, untilMs - this.#nowMs()));
    if (!isNew) return;
    this.#options.log.info({ duty: this.#options.duty, token: claimed.token }, 'lease won');
    this.#options.onChange?.(claimed.token);
  }

  #lose(): void {
    clearTimeout(this.#expiry);
    if (this.#held === undefined) return;
    this.#options.log.warn({ duty: this.#options.duty, token: this.#held.token }, 'lease over');
    this.#held = undefined;
    this.#options.onChange?.(null);
  }

  /** Writes the key if `expect` is still its last revision. Null: it is not. @throws when JetStream does not answer */
  async #write(id: string, expect: number): Promise<number | null> {
    const { nats, holder, ttlSeconds } = this.#options;
    try {
      const ack = await nats.js.publish(this.#subject, JSON.stringify({ holder, claim: id }), {
        ttl: `${ttlSeconds}s`,
        // Longer than that, and the answer would come when the lease is over.
        timeout: Math.max(250, this.#ttlMs / 3),
        expect: { lastSubjectSequence: expect },
      });
      return ack.seq;
    } catch (error) {
      if (isApiError(error, apiErrors.wrongLastSequence)) return null;
      throw error;
    }
  }

  async #release(revision: number): Promise<void> {
    const { nats, log, duty } = this.#options;
    const deleted = headers();
    deleted.set('KV-Operation', 'DEL');
    try {
      await nats.js.publish(this.#subject, '', {
        headers: deleted,
        timeout: 1_000,
        expect: { lastSubjectSequence: revision },
      });
    } catch (error) {
      log.warn({ duty, error: String(error) }, 'lease not given back: it runs out by itself');
    }
  }

  #last(): Promise<StoredMsg | null> {
    return this.#options.nats.jsm.direct.getMessage(stream, { last_by_subj: this.#subject });
  }
}

/** A mark that the key was deleted or has run out. */
const isGone = ({ header }: StoredMsg): boolean =>
  header.get('KV-Operation') !== '' || header.get('Nats-Marker-Reason') !== '';

function claimOf(message: StoredMsg): string | undefined {
  try {
    return claim.parse(message.json()).claim;
  } catch {
    return undefined;
  }
}
