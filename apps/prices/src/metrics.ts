import { Counter, Gauge, type Registry } from 'prom-client';
import { type Outcome, outcomeName } from './turn.ts';

export type PricesMetrics = ReturnType<typeof createMetrics>;

/** Labels are bounded: clusters of the plan, feeders, and codes that are listed in the code. */
export function createMetrics(registry: Registry) {
  const registers = [registry];
  return {
    answers: new Counter({
      name: 'drover_prices_answers_total',
      help: 'How asking for a price ended: written, held, unchanged, or why it was refused',
      labelNames: ['cluster', 'feeder', 'outcome'],
      registers,
    }),
    believedAt: new Gauge({
      name: 'drover_prices_believed_timestamp_seconds',
      help: 'When the source last said a price that was believed',
      labelNames: ['cluster'],
      registers,
    }),
    turnsFailed: new Counter({
      name: 'drover_prices_turns_failed_total',
      help: 'Turns that JetStream did not let finish',
      registers,
    }),
  };
}

/** Counts what a turn came to. */
export function observe(metrics: PricesMetrics, outcomes: readonly Outcome[], nowMs: number): void {
  for (const outcome of outcomes) {
    const { cluster, feeder, verdict } = outcome;
    metrics.answers.inc({ cluster, feeder, outcome: outcomeName(outcome) });
    const believed = verdict.kind === 'write' || (verdict.kind === 'keep' && verdict.why === 'unchanged');
    if (believed) metrics.believedAt.set({ cluster }, nowMs / 1_000);
  }
}
