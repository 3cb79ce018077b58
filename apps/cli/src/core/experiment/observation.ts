import type { DecisionRecord, Event, LedgerRecord, ShadowNote } from '@drover/schemas';

/** What is compared of one request: what was promised when it was first decided, and what came of it. */
export type Observation = {
  readonly request: string;
  /** Whether it ended as it should and before its deadline; absent while it has not ended, or has no deadline on record. */
  readonly kept?: boolean;
  readonly done?: boolean;
  readonly predictedTtftMs?: number;
  readonly ttftMs?: number;
  readonly predictedTotalMs?: number;
  /** From the decision to the outcome, both by the hub's clock. Absent for one that was moved: it was promised anew. */
  readonly totalMs?: number;
  readonly usd?: number;
  readonly completionTokens?: number;
  /** What 1,000 tokens of the chosen cluster had really cost lately, idle time included. */
  readonly realisedUsdPer1k?: number;
  readonly turn?: DecisionRecord['turn'];
  readonly arm?: DecisionRecord['arm'];
};

/** One decision that a shadow was asked about. `usdMore`: what its choice would have cost beyond the real one. */
export type ShadowLook = {
  readonly note: ShadowNote;
  /** A cluster, or what was done instead. */
  readonly real: string;
  readonly would: string;
  readonly usd?: number;
  readonly usdMore?: number;
  readonly ttftMoreMs?: number;
};

type Part = {
  decidedAtMs?: number;
  deadlineAtMs?: number;
  attempts: number;
  first?: Pick<DecisionRecord, 'turn' | 'arm'> & {
    predicted?: { ttftMs: number; totalMs: number };
    realisedUsdPer1k?: number;
  };
  ended?: { atMs: number; status: string; ttftMs?: number };
  settled?: { usd?: number; completionTokens: number };
};

/**
 * Pure. Joins records of the three streams by request, in whatever order they come. A request belongs to the policy and the
 * model that its first decision gave it to, whatever happened later.
 */
export class Observations {
  readonly #parts = new Map<string, Part>();
  readonly looks: ShadowLook[] = [];
  /** Records that another version has written and this one does not understand: they are in no figure. */
  unreadable = 0;

  /** @param storedAtMs by the hub's clock */
  decided(record: DecisionRecord, storedAtMs: number): void {
    const part = this.#part(record.tenant, record.request);
    part.attempts = Math.max(part.attempts, record.attempt);
    const look = lookOf(record);
    if (look) this.looks.push(look);
    if (record.attempt > 1) return;
    const chosen = record.candidates.find(({ cluster }) => cluster === record.chosen);
    const realisedUsdPer1k = chosen?.costs?.realisedUsdPer1k;
    part.decidedAtMs = storedAtMs;
    if (record.deadlineAtMs !== undefined) part.deadlineAtMs = record.deadlineAtMs;
    part.first = {
      ...(record.turn ? { turn: record.turn } : {}),
      ...(record.arm ? { arm: record.arm } : {}),
      ...(chosen?.predicted ? { predicted: chosen.predicted } : {}),
      ...(realisedUsdPer1k === undefined ? {} : { realisedUsdPer1k }),
    };
  }

  ended(
    tenant: string,
    request: string,
    event: Extract<Event, { state: 'ended' }>,
    storedAtMs: number,
  ): void {
    this.#part(tenant, request).ended = {
      atMs: storedAtMs,
      status: event.outcome.status,
      ...(event.ttftMs === undefined ? {} : { ttftMs: event.ttftMs }),
    };
  }

  settled({ tenant, request, usd, completionTokens }: LedgerRecord): void {
    this.#part(tenant, request).settled = { completionTokens, ...(usd === undefined ? {} : { usd }) };
  }

  /** Those that were first decided in what was read, by the name of the request. */
  all(): Observation[] {
    return [...this.#parts]
      .flatMap(([key, part]) => (part.first ? [observationOf(key, part)] : []))
      .toSorted((a, b) => (a.request < b.request ? -1 : 1));
  }

  #part(tenant: string, request: string): Part {
    const key = `${tenant} ${request}`;
    const part = this.#parts.get(key) ?? { attempts: 0 };
    this.#parts.set(key, part);
    return part;
  }
}

function observationOf(request: string, part: Part): Observation {
  const { decidedAtMs, deadlineAtMs, attempts, first, ended, settled } = part;
  const done = ended && ended.status === 'done';
  return {
    request,
    ...(done === undefined ? {} : { done }),
    ...(ended && deadlineAtMs !== undefined ? { kept: done === true && ended.atMs <= deadlineAtMs } : {}),
    ...(first?.predicted
      ? { predictedTtftMs: first.predicted.ttftMs, predictedTotalMs: first.predicted.totalMs }
      : {}),
    ...(ended?.ttftMs === undefined ? {} : { ttftMs: ended.ttftMs }),
    ...(done && attempts <= 1 && decidedAtMs !== undefined
      ? { totalMs: Math.max(0, ended.atMs - decidedAtMs) }
      : {}),
    ...settled,
    ...(first?.realisedUsdPer1k === undefined ? {} : { realisedUsdPer1k: first.realisedUsdPer1k }),
    ...(first?.turn ? { turn: first.turn } : {}),
    ...(first?.arm ? { arm: first.arm } : {}),
  };
}

/**
 * Both choices are priced by the figures of the policy in force, so that two yardsticks are not compared: with its own the
 * shadow may call the same choice dearer.
 */
function lookOf({ shadow, kind, chosen, candidates }: DecisionRecord): ShadowLook | undefined {
  if (!shadow) return undefined;
  const of = (name: string | undefined) => candidates.find(({ cluster }) => cluster === name);
  const [real, would] = [of(chosen), of(shadow.chosen)];
  const usd = real?.costs?.marginalUsd;
  const otherUsd = would?.costs?.marginalUsd;
  const [ttft, otherTtft] = [real?.predicted?.ttftMs, would?.predicted?.ttftMs];
  return {
    note: shadow,
    real: kind === 'assign' ? (chosen ?? kind) : kind,
    would: shadow.kind === 'assign' ? (shadow.chosen ?? shadow.kind) : shadow.kind,
    ...(usd === undefined ? {} : { usd }),
    ...(usd === undefined || otherUsd === undefined ? {} : { usdMore: otherUsd - usd }),
    ...(ttft === undefined || otherTtft === undefined ? {} : { ttftMoreMs: otherTtft - ttft }),
  };
}
