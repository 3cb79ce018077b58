import type { Event, Outcome } from '@drover/schemas';

/** How a client asks: server-sent events, one JSON answer, or a producer on NATS. */
export type ClientKind = 'http-stream' | 'http-whole' | 'nats-stream';

/** What a client wants of its request. Only who asks for it may be cancelled or may expire. */
export type Wish = 'complete' | 'cancel' | 'expire';

/** One unit as a client got it: `at` is its place in the reply, counted from 0. */
export type Heard = { readonly atMs: number; readonly at: number; readonly t: string };

/** One connection of a client to somebody who reads for it. */
export type Attachment = {
  readonly atMs: number;
  /** `ingress-1`, or `nats`. */
  readonly via: string;
  /** Units that the client had when it came. */
  readonly from: number;
  /** How it ended; `silent` is a clean end without `[DONE]` and without an error event. */
  closed?: 'ended' | 'broken' | 'silent' | 'left';
};

export type ClientEnd =
  | { readonly status: 'done'; readonly atMs: number }
  | { readonly status: 'cancelled'; readonly atMs: number }
  | { readonly status: 'failed'; readonly code: string; readonly atMs: number };

/** One request from the outside: what was asked, what came, how it ended. Times are in ms of one wall clock. */
export type ClientRecord = {
  readonly id: string;
  readonly kind: ClientKind;
  readonly wish: Wish;
  /** False: an answer that cannot be continued once some of it was shown. */
  readonly continuable: boolean;
  /** The whole text of the uninterrupted answer. */
  readonly expected: string;
  readonly sentAtMs: number;
  /** When the client first heard that its request is stored. */
  acceptedAtMs?: number;
  readonly attachments: Attachment[];
  readonly heard: Heard[];
  /** Of the last event that had an id: what it says when it comes back. */
  lastEventId?: string;
  end?: ClientEnd;
};

export type PartKind = 'agent' | 'llama' | 'ingress' | 'scheduler' | 'nats';
export type FaultKind = 'kill' | 'pause' | 'partition' | 'drain';

export type FaultRecord = {
  readonly what: FaultKind;
  readonly part: string;
  readonly kind: PartKind;
  readonly atMs: number;
  /** What it was told to last, before the part is started, continued or healed. */
  readonly lastsMs: number;
  /** When the part served again. */
  backAtMs?: number;
  /** The requests that the part was busy with at that moment, and how many units their clients had. */
  readonly victims: readonly Victim[];
};

/** `units`: what its client had, at that moment. */
export type Victim = { readonly id: string; readonly units: number };

/** An owner begins to speak, at unit `i`. */
export type Opening = {
  readonly id: string;
  readonly atMs: number;
  readonly fence: number;
  readonly i: number;
  readonly attempt: number;
};

export type StoredEvent = {
  readonly id: string;
  readonly seq: number;
  readonly writer: string;
  readonly event: Event;
};

/** What the streams hold when everything has come to rest. */
export type Evidence = {
  /** Messages left in LLM_REQUESTS, and subjects left in LLM_JOBS. */
  readonly requests: number;
  readonly jobs: readonly string[];
  /** LLM_EVENTS, in the order of the stream. */
  readonly events: readonly StoredEvent[];
  readonly deadLetters: number;
};

export type History = {
  readonly clients: readonly ClientRecord[];
  readonly faults: readonly FaultRecord[];
  readonly openings: readonly Opening[];
  readonly evidence: Evidence;
};

/** The status of an outcome as a client can tell it. */
export const statusOf = (outcome: Outcome): string =>
  outcome.status === 'failed' ? outcome.code : outcome.status;
