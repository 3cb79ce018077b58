import type { Arm, Event, ShadowNote } from '@drover/schemas';
import { chargeFor } from './core/settle.ts';
import type { SchedulerMetrics } from './metrics.ts';

type Ended = Extract<Event, { state: 'ended' }>;

/** Counts how a request ended that a variant gave to a model. Only the scheduler that assigned it knows; so it counts once. */
export function countArmEnded(metrics: SchedulerMetrics, arm: Arm | undefined, event: Ended): void {
  if (!arm) return;
  const { outcome, metered = [], ttftMs } = event;
  const labels = { variant: arm.variant, model: arm.model };
  metrics.armEnded.inc({ ...labels, status: outcome.status });
  metrics.armTokens.inc(labels, outcome.usage?.completionTokens ?? 0);
  if (ttftMs !== undefined) metrics.armTtft.observe(labels, ttftMs / 1_000);
  const charges = metered.map(chargeFor);
  if (charges.every((usd) => usd !== undefined))
    metrics.armUsd.inc(
      labels,
      charges.reduce((sum, usd) => sum + usd, 0),
    );
}

/** Counts whether a shadow policy would have done the same. */
export function countShadow(
  metrics: SchedulerMetrics,
  { experiment, policy, kind, chosen }: ShadowNote,
  real: string | undefined,
): void {
  const same = (kind === 'assign' && chosen === real) || (kind === 'reject' && real === undefined);
  const result = kind === 'error' ? 'error' : same ? 'same' : 'other';
  metrics.shadows.inc({ experiment, policy, result });
}
