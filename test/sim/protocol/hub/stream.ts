import type { StreamDefinition } from '@drover/schemas';
import type { MsgHdrs } from 'nats';
import type { SimProcess } from '../process.ts';
import { matches } from './subject.ts';

export type Stored = {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: MsgHdrs | undefined;
  readonly storedMs: number;
  readonly msgId: string | undefined;
  /** Who published it: for the checkers, no part of the protocol. */
  readonly by: SimProcess | undefined;
};

export type Publication = {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: MsgHdrs | undefined;
  readonly by: SimProcess | undefined;
  readonly msgId?: string | undefined;
  /** The server drops it so long after it was stored. */
  readonly ttlMs?: number | undefined;
  /** Compare-and-set: the last sequence on `guard` has to be `lastSeq`. */
  readonly expect?: { readonly guard: string; readonly lastSeq: number } | undefined;
};

export type StoreAnswer =
  | { readonly seq: number; readonly duplicate: boolean }
  | { readonly refused: number; readonly description: string };

/** What a stream model can be told to forget, to see whether a checker notices. */
export type StreamWeakness = {
  /** Neither compare-and-set nor message ids. */ readonly ignoresExpectations: boolean;
  readonly storesNothing: boolean;
};

/** One JetStream stream: sequences, limits per subject, the duplicate window, compare-and-set. */
export class StreamModel {
  readonly definition: StreamDefinition;
  readonly #weakness: StreamWeakness;
  /** By sequence, ascending. */
  #messages: Stored[] = [];
  readonly #ids = new Map<string, { seq: number; atMs: number }>();
  #lastSeq = 0;

  constructor(definition: StreamDefinition, weakness: StreamWeakness) {
    this.definition = definition;
    this.#weakness = weakness;
  }

  get name(): string {
    return this.definition.name;
  }

  get messages(): readonly Stored[] {
    return this.#messages;
  }

  get lastSeq(): number {
    return this.#lastSeq;
  }

  captures(subject: string): boolean {
    return this.definition.subjects.some((pattern) => matches(pattern, subject));
  }

  store(given: Publication, nowMs: number): StoreAnswer {
    const { subject, msgId } = given;
    if (msgId !== undefined && !this.#weakness.ignoresExpectations) {
      const known = this.#ids.get(msgId);
      const windowMs = this.definition.duplicateWindowMs ?? 120_000;
      if (known && nowMs - known.atMs <= windowMs) return { seq: known.seq, duplicate: true };
    }
    const { expect } = given;
    if (expect && !this.#weakness.ignoresExpectations) {
      const last = this.last(expect.guard)?.seq ?? 0;
      if (last !== expect.lastSeq) return { refused: 10_071, description: `wrong last sequence: ${last}` };
    }
    const { maxMsgsPerSubject, discardNewPerSubject } = this.definition;
    if (maxMsgsPerSubject !== undefined) {
      const same = this.#messages.filter((one) => one.subject === subject);
      if (same.length >= maxMsgsPerSubject) {
        if (discardNewPerSubject)
          return { refused: 10_077, description: 'maximum messages per subject exceeded' };
        const oldest = same[0];
        if (oldest) this.delete(oldest.seq);
      }
    }
    const seq = ++this.#lastSeq;
    if (this.#weakness.storesNothing) return { seq, duplicate: false };
    const { data, headers, by } = given;
    this.#messages.push({ seq, subject, data, headers, storedMs: nowMs, msgId, by });
    if (msgId !== undefined) this.#ids.set(msgId, { seq, atMs: nowMs });
    return { seq, duplicate: false };
  }

  get(seq: number): Stored | undefined {
    return this.#messages.find((one) => one.seq === seq);
  }

  /** The last message on a subject or pattern; with `beforeSeq`, as a replica sees it that lags behind. */
  last(pattern: string, beforeSeq = Number.POSITIVE_INFINITY): Stored | undefined {
    return this.#messages.findLast((one) => one.seq < beforeSeq && matches(pattern, one.subject));
  }

  matching(pattern: string, fromSeq = 0): Stored[] {
    return this.#messages.filter((one) => one.seq >= fromSeq && matches(pattern, one.subject));
  }

  delete(seq: number): boolean {
    const index = this.#messages.findIndex((one) => one.seq === seq);
    if (index < 0) return false;
    this.#messages.splice(index, 1);
    return true;
  }

  /** After a restart of the server only the ids of what is still stored are known. */
  forgetIdsOfDeleted(): void {
    for (const [id, { seq }] of this.#ids) if (!this.get(seq)) this.#ids.delete(id);
  }
}
