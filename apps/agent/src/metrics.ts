import { createRegistry, secondsBuckets } from '@drover/runtime';
import type { Report, Usage } from '@drover/schemas';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export type Metrics = ReturnType<typeof createMetrics>;

/** Everything that the agent counts, in base units. Labels are bounded: outcomes, reasons, kinds, slots. */
export function createMetrics(registry: Registry = createRegistry('agent')) {
  const base = { registers: [registry] };
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter({ ...base, name: `drover_agent_${name}`, help, labelNames: [...labelNames] });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge({ ...base, name: `drover_agent_${name}`, help, labelNames: [...labelNames] });
  const seconds = (name: string, help: string) =>
    new Histogram({ ...base, name: `drover_agent_${name}_seconds`, help, buckets: secondsBuckets });
  return {
    registry,
    jobs: counter('jobs_total', 'Jobs that this agent settled, by outcome.', ['outcome']),
    tokens: counter('tokens_total', 'Tokens by kind: prompt (cached ones included), cached, completion.', [
      'kind',
    ]),
    ttft: seconds('ttft', 'From the receipt of a job to its first token.'),
    interToken: seconds('inter_token', 'Gap between two tokens of one reply.'),
    duration: seconds('job_duration', 'From the receipt of a job to its committed outcome.'),
    slots: gauge('slots', 'Slots of the backend, by state: busy or total.', ['state']),
    redeliveries: counter('redeliveries_total', 'Jobs that had been delivered before.'),
    claimsLost: counter('claims_lost_total', 'Attempts that ended because another owner took over.'),
    releases: counter('releases_total', 'Jobs given back, by reason.', ['reason']),
    deadLetters: counter('dead_letters_total', 'Jobs that nobody can process, by reason.', ['reason']),
    spotNotices: counter('spot_notices_total', 'Notices that this machine will be taken away.', ['cloud']),
    spotPolls: counter(
      'spot_polls_total',
      'Questions to the metadata service, by outcome: none, notice or failed.',
      ['outcome'],
    ),
    backendUp: gauge('backend_up', '1 while llama.cpp answers and is measured, else 0.'),
    modelLoaded: gauge('model_loaded', '1 for the model that llama.cpp serves.', ['model']),
    deferred: gauge('backend_deferred', 'Requests that llama.cpp itself holds back.'),
    decodeTps: gauge(
      'decode_tokens_per_second',
      'Measured speed of the backend, by number of replies decoding.',
      ['b'],
    ),
    prefillTps: gauge('prefill_tokens_per_second', 'Measured speed of uncached prompt tokens.'),
  };
}

/** Counts the tokens of a finished reply. */
export function countTokens(metrics: Metrics, usage: Usage | undefined): void {
  if (!usage) return;
  metrics.tokens.inc({ kind: 'prompt' }, usage.promptTokens);
  metrics.tokens.inc({ kind: 'completion' }, usage.completionTokens);
  if (usage.cachedTokens !== undefined) metrics.tokens.inc({ kind: 'cached' }, usage.cachedTokens);
}

/** Shows the figures of a report. What has not been measured is absent here too. */
export function showRates(metrics: Metrics, rates: Report['rates']): void {
  metrics.decodeTps.reset();
  for (const { b, tps } of rates?.decode ?? []) metrics.decodeTps.set({ b: String(b) }, tps);
  if (rates?.prefillTps !== undefined) metrics.prefillTps.set(rates.prefillTps);
}
