import type { Spending } from '@drover/schemas';

/** USD that may be spent in a UTC day and in a UTC month; absent: no such budget. */
export type Budget = { readonly day?: number | undefined; readonly month?: number | undefined };

/** USD per 1,000 tokens. */
export type Prices = { readonly prompt: number; readonly output: number };

/** A part of the budgets that is held for one request. */
export type Hold = { readonly usd: number; readonly day: string; readonly month: string };

/** Pure. The names of the UTC periods that hold a moment. @param nowMs of the wall clock, as in all of these */
export function periodsAt(nowMs: number): { readonly day: string; readonly month: string } {
  const day = new Date(nowMs).toISOString().slice(0, 10);
  return { day, month: day.slice(0, 7) };
}

export const noSpending = (nowMs: number): Spending => {
  const { day, month } = periodsAt(nowMs);
  return {
    v: 1,
    day: { period: day, usd: 0 },
    month: { period: month, usd: 0 },
    unpriced: { promptTokens: 0, completionTokens: 0 },
    writtenBy: '',
  };
};

/**
 * Pure. The sums of the periods that hold `nowMs`. A clock that is behind the writer's never starts an old period again:
 * periods are names that sort by time.
 */
export function current(spending: Spending, nowMs: number): Spending {
  const { day, month } = periodsAt(nowMs);
  return {
    ...spending,
    day: spending.day.period >= day ? spending.day : { period: day, usd: 0 },
    month: spending.month.period >= month ? spending.month : { period: month, usd: 0 },
  };
}

/** Pure. USD that both budgets still allow; `Infinity` without a budget. */
export function leftUsd(spending: Spending, budget: Budget, nowMs: number): number {
  const { day, month } = current(spending, nowMs);
  return Math.min(
    (budget.day ?? Number.POSITIVE_INFINITY) - day.usd,
    (budget.month ?? Number.POSITIVE_INFINITY) - month.usd,
  );
}

/** Pure. Until the first budget that leaves less than `usd` starts anew, in ms. */
export function resumesInMs(spending: Spending, budget: Budget, usd: number, nowMs: number): number {
  const at = new Date(nowMs);
  const [year, month, day] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()];
  const now = current(spending, nowMs);
  const isMonthSpent = budget.month !== undefined && budget.month - now.month.usd < usd;
  return (isMonthSpent ? Date.UTC(year, month + 1) : Date.UTC(year, month, day + 1)) - nowMs;
}

export const usdOf = (prices: Prices, promptTokens: number, outputTokens: number): number =>
  (promptTokens * prices.prompt + outputTokens * prices.output) / 1_000;

/** Pure. Holds the most that a request can cost. Undefined when a budget has not that much left. */
export function hold(
  spending: Spending,
  budget: Budget,
  prices: Prices,
  boundUsd: number,
  nowMs: number,
): { readonly next: Spending; readonly hold: Hold } | undefined {
  const { promptTokens, completionTokens } = spending.unpriced;
  const before = add(current(spending, nowMs), usdOf(prices, promptTokens, completionTokens));
  if (boundUsd > leftUsd(before, budget, nowMs)) return undefined;
  const next = { ...add(before, boundUsd), unpriced: { promptTokens: 0, completionTokens: 0 } };
  return { next, hold: { usd: boundUsd, day: next.day.period, month: next.month.period } };
}

/** Pure. The request did cost `usd`. A period that has gone meanwhile keeps the bound: it paid for the request. */
export function settled(spending: Spending, held: Hold, usd: number, nowMs: number): Spending {
  const now = current(spending, nowMs);
  const change = usd - held.usd;
  return {
    ...now,
    day: now.day.period === held.day ? changed(now.day, change) : now.day,
    month: now.month.period === held.month ? changed(now.month, change) : now.month,
  };
}

/** Pure. Tokens that were bought before anybody knew their price. */
export const withUnpriced = (
  spending: Spending,
  promptTokens: number,
  completionTokens: number,
): Spending => ({
  ...spending,
  unpriced: {
    promptTokens: spending.unpriced.promptTokens + promptTokens,
    completionTokens: spending.unpriced.completionTokens + completionTokens,
  },
});

const add = (spending: Spending, usd: number): Spending => ({
  ...spending,
  day: changed(spending.day, usd),
  month: changed(spending.month, usd),
});

const changed = (sum: Spending['day'], usd: number): Spending['day'] => ({
  ...sum,
  usd: Math.max(0, sum.usd + usd),
});
