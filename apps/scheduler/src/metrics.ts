import { secondsBuckets } from '@drover/runtime';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Our own code on the way of one request: it should stay far below a millisecond. */
const decisionBuckets = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1];

export type SchedulerMetrics = ReturnType<typeof createMetrics>;

/** Every figure of the scheduler. Labels are bounded: clusters, bands, and codes that are listed in the code. */
export function createMetrics(registry: Registry) {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Counter({ name: `drover_scheduler_${name}`, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Gauge({ name: `drover_scheduler_${name}`, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, labelNames: L[], buckets: number[]) =>
    new Histogram({ name: `drover_scheduler_${name}`, help, labelNames, buckets, registers });
  return {
    accepted: counter('accepted_total', 'Requests taken in', ['band']),
    queueDepth: gauge('queue_depth', 'Requests held and not assigned', ['band']),
    queueWait: histogram(
      'queue_wait_seconds',
      'From the request being stored to its job',
      ['band'],
      secondsBuckets,
    ),
    decisions: counter('decisions_total', 'Decisions made', ['cluster', 'strategy', 'kind', 'rule']),
    rejections: counter('rejections_total', 'Clusters refused in recorded decisions', ['cluster', 'reason']),
    turns: counter('experiment_decisions_total', 'Decisions by the policies of a switchback experiment', [
      'experiment',
      'policy',
      'kind',
    ]),
    shadows: counter('shadow_decisions_total', 'Decisions that a shadow policy was asked about', [
      'experiment',
      'policy',
      'result',
    ]),
    armRequests: counter('variant_requests_total', 'Requests that a variant gave to a model', [
      'variant',
      'model',
    ]),
    armEnded: counter('variant_ended_total', 'The same when they ended', ['variant', 'model', 'status']),
    armTokens: counter('variant_output_tokens_total', 'Output tokens of variants', ['variant', 'model']),
    armUsd: counter('variant_usd_total', 'Charged for requests of variants, where every price is known', [
      'variant',
      'model',
    ]),
    armTtft: histogram(
      'variant_ttft_seconds',
      'From the receipt of a job to its first token, as its agent saw it',
      ['variant', 'model'],
      secondsBuckets,
    ),
    decisionSeconds: histogram('decision_seconds', 'Time to decide on one request', [], decisionBuckets),
    usdPer1k: gauge('usd_per_1k_tokens', 'Nominal price of 1,000 output tokens at capacity', ['cluster']),
    realisedUsdPer1k: gauge(
      'realised_usd_per_1k_tokens',
      'What 1,000 output tokens have really cost lately, idle time included',
      ['cluster'],
    ),
    usdPerHour: gauge('usd_per_hour', 'Price of one node', ['cluster']),
    usdPerMillion: gauge('usd_per_million_tokens', "A provider's price per 10⁶ tokens", ['cluster', 'kind']),
    priceStale: gauge('price_stale', '1 when the price is past its time of validity', ['cluster']),
    residual: gauge('residual_ratio', 'Actual over predicted time of the last answers', ['cluster']),
    breakerState: gauge('breaker_state', '0 closed, 1 half-open, 2 open', ['cluster']),
    reportAge: gauge('report_age_seconds', 'Age of the newest report', ['cluster']),
    slots: gauge('slots', 'Slots of ready agents', ['cluster']),
    freeSlots: gauge('free_slots', 'Slots without a job', ['cluster']),
    load: gauge('load', 'Jobs in the ledger that hold or await a slot', ['cluster']),
    recalls: counter('recalls_total', 'Jobs moved to another cluster', ['reason']),
    redeliveries: counter('redeliveries_total', 'Requests delivered again', []),
    settled: counter('settled_total', 'Requests whose cost was written to the ledger', ['status']),
    settledUsd: counter('settled_usd_total', 'Charged for requests that were settled here', ['cluster']),
    settleRetries: counter('settle_retries_total', 'Ends of requests that could not be settled at once', []),
    scalingLeader: gauge('scaling_leader', '1 while this scheduler wakes clusters and lets them go', []),
    demandSlots: gauge('demand_slots', 'Slots wanted, smoothed, as scaling sees it', []),
    nodesWanted: gauge('nodes_wanted', 'Nodes that an autoscaler should keep', ['cluster']),
    wakes: counter('wakes_total', 'Nodes that were asked for', ['cluster']),
    wakesFailed: counter('wakes_failed_total', 'Nodes that were asked for and did not come', ['cluster']),
    releases: counter('nodes_released_total', 'Nodes that were let go', ['cluster']),
    bootSeconds: histogram(
      'node_boot_seconds',
      'From a node being asked for to its being ready',
      ['cluster'],
      secondsBuckets,
    ),
    deadLetters: counter('dead_letters_total', 'Messages that could not be processed', ['reason']),
  };
}
