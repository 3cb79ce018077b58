import type { SimCluster } from './node.ts';
import { priceStepMs } from './scenario.ts';

export type Bill = {
  readonly cluster: string;
  readonly usd: number;
  readonly paidMs: number;
  readonly busyMs: number;
  readonly bootMs: number;
};

/** What the nodes of a cluster have cost by the end, and what they did in that time. */
export function billOf({ spec, past, prices }: SimCluster, endMs: number): Bill {
  let usd = 0;
  let paidMs = 0;
  let busyMs = 0;
  let bootMs = 0;
  for (const node of past) {
    const goneAtMs = node.goneAtMs ?? endMs;
    usd += costBetween(prices, node.startedAtMs, goneAtMs);
    paidMs += goneAtMs - node.startedAtMs;
    bootMs += Math.min(goneAtMs, node.readyAtMs) - node.startedAtMs;
    busyMs += node.busyMs;
  }
  return { cluster: spec.name, usd, paidMs, busyMs, bootMs };
}

/** ∫ price dt in USD, the price constant on each step. */
export function costBetween(prices: readonly number[], fromMs: number, toMs: number): number {
  let usd = 0;
  for (let atMs = fromMs; atMs < toMs; ) {
    const step = Math.floor(atMs / priceStepMs);
    const untilMs = Math.min(toMs, (step + 1) * priceStepMs);
    usd += ((prices[step] ?? prices.at(-1) ?? 0) * (untilMs - atMs)) / 3_600_000;
    atMs = untilMs;
  }
  return usd;
}
