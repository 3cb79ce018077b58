import { type ClusterId, clusterId, type Report, type Tariff } from '@drover/schemas';
import { type ClusterSpec, decodeAt } from './scenario.ts';

type Rates = NonNullable<Report['rates']>;

/** What an agent's own measurement of a node would find. */
export const ratesOf = (spec: ClusterSpec): Rates => ({
  prefillTps: spec.prefillTps,
  decode: Array.from({ length: spec.slots }, (_, index) => ({
    b: index + 1,
    tps: decodeAt(spec, index + 1),
    n: 1_000,
  })),
});

export const tariffOf = (spec: ClusterSpec, usdPerHour: number): Tariff => ({
  v: 1,
  usdPerHour,
  market: spec.market,
  overheadFactor: 1,
  preemptPerHour: spec.preemptPerHour,
  source: 'simulated',
  asOf: '2026-01-01T00:00:00Z',
});

export const nameOf = (spec: ClusterSpec): ClusterId => clusterId.parse(spec.name);
