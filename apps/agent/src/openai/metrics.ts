import { Counter, Gauge, type Registry } from 'prom-client';

export type ProviderMetrics = ReturnType<typeof createProviderMetrics>;

/** What an agent counts of its provider. Labels are bounded: outcomes, kinds, periods, reasons. */
export function createProviderMetrics(registry: Registry) {
  const base = { registers: [registry] };
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter({ ...base, name: `drover_provider_${name}`, help, labelNames: [...labelNames] });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge({ ...base, name: `drover_provider_${name}`, help, labelNames: [...labelNames] });
  return {
    requests: counter(
      'requests_total',
      'Requests to the provider, by outcome: done, refused, limited, failed, down or aborted.',
      ['outcome'],
    ),
    tokens: counter('tokens_total', 'Tokens that the provider counted, by kind: prompt or completion.', [
      'kind',
    ]),
    usd: counter('usd_total', 'USD of the tokens that the provider counted, at its list price.'),
    limited: gauge('limited', '1 for the reason why nothing is sent to the provider now.', ['reason']),
    budget: gauge('budget_usd', 'USD that may be spent in the UTC day or month.', ['period']),
    spent: gauge('spent_usd', 'USD spent in it, with what is held for requests under way.', ['period']),
  };
}
