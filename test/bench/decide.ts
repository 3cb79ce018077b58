import { clusterId, policy, type RequestInput, request, tariff } from '@drover/schemas';
import { decide } from '../../apps/scheduler/src/core/decide.ts';
import { estimateTokens } from '../../apps/scheduler/src/core/estimate.ts';
import type { Ask, Candidate } from '../../apps/scheduler/src/core/types.ts';

/** Prints how long one decision takes, at the size of a usual fleet and at one far beyond it. */
const rounds = 2_000;
const input: unknown = {
  v: 1,
  id: 'r1',
  tenant: 't1',
  submittedAtMs: 0,
  deadlineAtMs: 1e9,
  endpoint: 'chat',
  body: { model: 'm1', messages: [{ role: 'user', content: 'hello' }] },
} satisfies Partial<Record<keyof RequestInput, unknown>>;
const asked = request.parse(input);
const ask: Ask = { request: asked, model: 'm1', estimate: estimateTokens(asked, 20, undefined) };

function candidateOf(index: number): Candidate {
  return {
    view: {
      cluster: clusterId.parse(`cluster-${index}`),
      phase: 'ready',
      reportAgeMs: 100,
      slots: 4,
      nodes: 1,
      model: { name: 'm1', hash: 'h1', contextTokens: 2_048, endpoints: ['chat'] },
      rates: {
        prefillTps: 200,
        decode: [
          { b: 1, tps: 20 + (index % 7), n: 100 },
          { b: 4, tps: 25 + (index % 7), n: 100 },
        ],
      },
    },
    // A third of the fleet is full, as in real life.
    load: index % 3 === 0 ? 4 : index % 4,
    tariff: tariff.parse({
      v: 1,
      usdPerHour: 0.05 + (index % 11) / 100,
      market: 'spot',
      source: 'bench',
      asOf: '2025-01-01T00:00:00Z',
    }),
    breaker: { allowed: true, detail: '', opens: 0 },
  };
}

for (const clusters of [3, 1_000]) {
  const fleet = Array.from({ length: clusters }, (_, index) => candidateOf(index));
  const context = {
    policy: policy.parse({ v: 1, strategy: 'cost' }),
    nowMs: 0,
    random: 0.5,
    incumbent: { cluster: clusterId.parse('cluster-1'), sinceMs: 0 },
  };
  for (let n = 0; n < 200; n++) decide(ask, fleet, context);
  const microseconds = Array.from({ length: rounds }, () => {
    const startedAt = process.hrtime.bigint();
    decide(ask, fleet, context);
    return Number(process.hrtime.bigint() - startedAt) / 1_000;
  }).sort((a, b) => a - b);
  const at = (share: number) => (microseconds[Math.floor(rounds * share)] ?? 0).toFixed(1);
  console.log(`decide, ${clusters} clusters: p50 ${at(0.5)} µs, p99 ${at(0.99)} µs`);
}
