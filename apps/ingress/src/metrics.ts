import { secondsBuckets } from '@drover/runtime';
import type { LedgerRecord } from '@drover/schemas';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export type Metrics = ReturnType<typeof createMetrics>;

/** Everything the ingress counts. Labels are bounded sets: endpoint, priority, outcome, failure code. */
export function createMetrics(registry: Registry) {
  const registers = [registry];
  const seconds = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Histogram({
      name: `drover_ingress_${name}_seconds`,
      help,
      labelNames,
      buckets: secondsBuckets,
      registers,
    });
  return {
    requests: new Counter({
      name: 'drover_ingress_requests_total',
      help: 'Requests by how they ended: done, failed, cancelled, rejected (never accepted), abandoned (client left).',
      labelNames: ['endpoint', 'outcome', 'code', 'priority'],
      registers,
    }),
    accept: seconds('accept', 'From the arrival of a request to its PubAck.', ['endpoint']),
    ttft: seconds('ttft', 'From the arrival of a request to its first unit.', ['endpoint', 'priority']),
    interToken: seconds('inter_token', 'Between two units of a reply, as they arrive.', ['endpoint']),
    duration: seconds('duration', 'From the arrival of a request to the end of its answer.', [
      'endpoint',
      'outcome',
    ]),
    queueWait: seconds('queue_wait', 'How long the scheduler held a request.', ['priority']),
    overhead: seconds('overhead', 'Time to first unit without queue and backend.', ['endpoint']),
    tokens: new Counter({
      name: 'drover_ingress_tokens_total',
      help: 'Tokens of finished requests, as the backend counted them.',
      labelNames: ['kind'],
      registers,
    }),
    streamsOpen: new Gauge({
      name: 'drover_ingress_streams_open',
      help: 'Streamed answers being written.',
      registers,
    }),
    keepalives: new Counter({
      name: 'drover_ingress_keepalives_total',
      help: 'Comments sent on quiet streams.',
      registers,
    }),
    resumes: new Counter({
      name: 'drover_ingress_resumes_total',
      help: 'Readers that came back to a request: by idempotency key, or by id.',
      labelNames: ['by'],
      registers,
    }),
    settledUsd: new Counter({
      name: 'drover_ingress_settled_usd_total',
      help: 'Charged for requests, by the ledger; every ingress counts all of them.',
      labelNames: ['cluster'],
      registers,
    }),
    settledTokens: new Counter({
      name: 'drover_ingress_settled_tokens_total',
      help: 'Tokens that were charged, by the ledger; every ingress counts all of them.',
      labelNames: ['cluster', 'kind'],
      registers,
    }),
    settledRequests: new Counter({
      name: 'drover_ingress_settled_requests_total',
      help: 'Requests in the ledger; every ingress counts all of them.',
      labelNames: ['status', 'priced'],
      registers,
    }),
    slowReaders: new Counter({
      name: 'drover_ingress_slow_readers_total',
      help: 'Readers dropped because they did not read.',
      registers,
    }),
  };
}

/** Counts a request that was settled while this process ran. */
export function countSettled(metrics: Metrics, { status, unpriced, portions }: LedgerRecord): void {
  metrics.settledRequests.inc({ status, priced: unpriced ? 'no' : 'yes' });
  for (const { cluster, usd = 0, promptTokens, completionTokens } of portions) {
    metrics.settledUsd.inc({ cluster }, usd);
    metrics.settledTokens.inc({ cluster, kind: 'prompt' }, promptTokens);
    metrics.settledTokens.inc({ cluster, kind: 'completion' }, completionTokens);
  }
}
