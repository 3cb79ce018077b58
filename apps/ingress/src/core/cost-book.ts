import type { LedgerRecord, RequestId } from '@drover/schemas';
import { dayMs, hourMs } from './period.ts';

/**
 * What is added up. `requests` counts ends; `unpriced` those of them whose cost is not known, and `uncounted` those that may
 * have used more than anybody counted.
 */
export type Sums = {
  usd: number;
  promptTokens: number;
  completionTokens: number;
  requests: number;
  unpriced: number;
  uncounted: number;
};

export const noSums = (): Sums => ({
  usd: 0,
  promptTokens: 0,
  completionTokens: 0,
  requests: 0,
  unpriced: 0,
  uncounted: 0,
});

export const add = (to: Sums, more: Sums): void => {
  to.usd += more.usd;
  to.promptTokens += more.promptTokens;
  to.completionTokens += more.completionTokens;
  to.requests += more.requests;
  to.unpriced += more.unpriced;
  to.uncounted += more.uncounted;
};

/** Sums of one hour, tenant, key, cluster and model. A request counts where it ended; null: where nothing ran. */
export type Row = {
  /** Start of the hour, in ms. */
  readonly hour: number;
  readonly tenant: string;
  readonly key: string | null;
  readonly cluster: string | null;
  readonly model: string | null;
  readonly sums: Sums;
};

/** What a key was charged on one day. Tokens without a price are kept apart: a budget counts them at its ceiling. */
type Day = { usd: number; unpricedTokens: number };
type KeyAccount = { readonly days: Map<number, Day>; readonly settled: Map<RequestId, number> };

/** As long as the ledger itself. */
const keptMs = 32 * dayMs;

/** The ledger, added up. Fed record by record in the order of the stream; of each request there is one. */
export class CostBook {
  /** The sequence of the last record that was added. */
  seq = 0;
  readonly #rows = new Map<string, Row>();
  readonly #accounts = new Map<string, KeyAccount>();
  readonly #settledKeptMs: number;
  #prunedHour = 0;

  /** @param settledKeptMs how long after its end a request is remembered: longer than any reservation stands */
  constructor(settledKeptMs: number) {
    this.#settledKeptMs = settledKeptMs;
  }

  /** Adds a record, unless it was added before. */
  add(record: LedgerRecord, seq: number): void {
    if (seq <= this.seq) return;
    this.seq = seq;
    const hour = hourOf(record.endedAtMs);
    if (hour > this.#prunedHour) this.#prune(hour);
    for (const { cluster, usd = 0, promptTokens, completionTokens } of record.portions)
      add(this.#row(record, hour, cluster).sums, { ...noSums(), usd, promptTokens, completionTokens });
    const last = this.#row(record, hour, record.portions.at(-1)?.cluster ?? null).sums;
    last.requests++;
    if (record.unpriced) last.unpriced++;
    if (record.uncounted) last.uncounted++;
    if (record.key !== undefined) this.#charge(record, record.key);
  }

  /** Every row of a tenant from one hour (inclusive) to another (exclusive). */
  *rows(tenant: string, fromMs: number, toMs: number): Iterable<Row> {
    for (const row of this.#rows.values())
      if (row.tenant === tenant && row.hour >= fromMs && row.hour < toMs) yield row;
  }

  /**
   * What a key was charged in a time of whole UTC days, in USD.
   * @param ceilingUsdPer1k what a token without a known price counts
   */
  spentUsd(
    tenant: string,
    key: string,
    { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
    ceilingUsdPer1k: number,
  ): number {
    let spent = 0;
    for (const [day, { usd, unpricedTokens }] of this.#accounts.get(accountName(tenant, key))?.days ?? [])
      if (day >= fromMs && day < toMs) spent += usd + (unpricedTokens * ceilingUsdPer1k) / 1_000;
    return spent;
  }

  /** Whether a request of this key has been charged, as far as is remembered. */
  isSettled(tenant: string, key: string, id: RequestId): boolean {
    return this.#accounts.get(accountName(tenant, key))?.settled.has(id) ?? false;
  }

  #row(record: LedgerRecord, hour: number, cluster: string | null): Row {
    const { tenant } = record;
    const key = record.key ?? null;
    const model = record.model ?? null;
    const name = JSON.stringify([hour, tenant, key, cluster, model]);
    const row = this.#rows.get(name) ?? { hour, tenant, key, cluster, model, sums: noSums() };
    this.#rows.set(name, row);
    return row;
  }

  #charge(record: LedgerRecord, key: string): void {
    const name = accountName(record.tenant, key);
    const account = this.#accounts.get(name) ?? { days: new Map(), settled: new Map() };
    this.#accounts.set(name, account);
    const day = record.endedAtMs - (record.endedAtMs % dayMs);
    const sums = account.days.get(day) ?? { usd: 0, unpricedTokens: 0 };
    account.days.set(day, sums);
    sums.usd += record.portions.reduce((sum, { usd = 0 }) => sum + usd, 0);
    sums.unpricedTokens += unpricedTokens(record);
    account.settled.set(record.request, record.endedAtMs);
    forgetBefore(account.settled, record.endedAtMs - this.#settledKeptMs);
  }

  #prune(hour: number): void {
    this.#prunedHour = hour;
    for (const [name, row] of this.#rows) if (row.hour < hour - keptMs) this.#rows.delete(name);
    for (const { days } of this.#accounts.values())
      for (const day of days.keys()) if (day < hour - keptMs - dayMs) days.delete(day);
  }
}

const hourOf = (ms: number): number => ms - (ms % hourMs);
const accountName = (tenant: string, key: string): string => `${tenant}\n${key}`;

/** Tokens that were said and have no price. */
function unpricedTokens({ portions, unpriced, promptTokens, completionTokens }: LedgerRecord): number {
  if (!unpriced) return 0;
  if (portions.length === 0) return promptTokens + completionTokens;
  return portions.reduce(
    (sum, { usd, ...tokens }) =>
      usd === undefined ? sum + tokens.promptTokens + tokens.completionTokens : sum,
    0,
  );
}

/** Records come nearly in the order of their times: looking at the oldest is enough. */
function forgetBefore(settled: Map<RequestId, number>, ms: number): void {
  for (const [id, endedAtMs] of settled) {
    if (endedAtMs >= ms) return;
    settled.delete(id);
  }
}
