import type { Breaker } from './core/breaker.ts';
import { clusterUsdPer1k } from './core/costs.ts';
import { isStale } from './core/tariffs.ts';
import type { SchedulerMetrics } from './metrics.ts';
import type { State } from './state.ts';

const breakerStates = { closed: 0, 'half-open': 1, open: 2 } as const satisfies Record<
  Breaker['state'],
  number
>;

/** Shows every cluster as the next decision would see it. What is not known is not shown. */
export function observeFleet(metrics: SchedulerMetrics, state: State, nowMs: number): void {
  for (const gauge of [
    metrics.usdPer1k,
    metrics.realisedUsdPer1k,
    metrics.usdPerHour,
    metrics.usdPerMillion,
    metrics.priceStale,
    metrics.reportAge,
    metrics.residual,
  ])
    gauge.reset();
  for (const cluster of state.clusters()) {
    const view = state.view(cluster, nowMs);
    const { load, tariff, residual, realisedUsdPer1k } = state.candidate(view, nowMs);
    const usdPer1k = clusterUsdPer1k(view, tariff);
    metrics.slots.set({ cluster }, view.slots);
    metrics.load.set({ cluster }, load);
    metrics.freeSlots.set({ cluster }, Math.max(0, view.slots - load));
    metrics.breakerState.set({ cluster }, breakerStates[state.breaker(cluster, nowMs).state]);
    if (view.reportAgeMs !== undefined) metrics.reportAge.set({ cluster }, view.reportAgeMs / 1_000);
    if (tariff) {
      if (tariff.usdPerMillion) {
        metrics.usdPerMillion.set({ cluster, kind: 'prompt' }, tariff.usdPerMillion.prompt);
        metrics.usdPerMillion.set({ cluster, kind: 'output' }, tariff.usdPerMillion.output);
      } else metrics.usdPerHour.set({ cluster }, tariff.usdPerHour);
      metrics.priceStale.set({ cluster }, isStale(tariff, nowMs) ? 1 : 0);
    }
    if (realisedUsdPer1k !== undefined) metrics.realisedUsdPer1k.set({ cluster }, realisedUsdPer1k);
    if (residual !== undefined) metrics.residual.set({ cluster }, residual);
    if (usdPer1k !== undefined) metrics.usdPer1k.set({ cluster }, usdPer1k);
  }
}
