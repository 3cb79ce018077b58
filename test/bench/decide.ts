import {
  clusterId,
  policy,
  type Report,
  type RequestInput,
  report,
  request,
  requestId,
  tariff,
} from '@drover/schemas';
import { decide } from '../../apps/scheduler/src/core/decide.ts';
import { estimateTokens } from '../../apps/scheduler/src/core/estimate.ts';
import type { Ask, Candidate, Waiting } from '../../apps/scheduler/src/core/types.ts';
import { Planner } from '../../apps/scheduler/src/planner.ts';
import { State } from '../../apps/scheduler/src/state.ts';

/**
 * Prints how long one decision takes, at the size of a usual fleet and at one far beyond it, and how long it takes from a
 * slot that becomes free to the next request in it, with a short queue and with one of ten thousand.
 */
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
    idleMs: index * 10,
    residual: 1.1,
    cachedTokens: index % 5,
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
    policy: policy.parse({ v: 1, strategy: 'cost', scaling: {} }),
    nowMs: 0,
    random: 0.5,
    incumbent: { cluster: clusterId.parse('cluster-1'), sinceMs: 0 },
  };
  for (let n = 0; n < 200; n++) decide(ask, fleet, context);
  print(
    `decide, ${clusters} clusters`,
    Array.from({ length: rounds }, () => timed(() => decide(ask, fleet, context))),
  );
}

for (const queued of [100, 10_000])
  print(`slot to next request, ${queued} queued by 100 tenants`, turnovers(queued));

/** A full fleet of three; in each round one job ends and one pass gives its slot away. */
function turnovers(queued: number): number[] {
  const state = new State();
  state.setPolicy({ value: policy.parse({ v: 1, strategy: 'cost', scaling: {} }), revision: 1 });
  for (const index of [0, 1, 2]) {
    const { tariff: price, view } = candidateOf(index);
    state.setTariff(view.cluster, price);
    state.hearReport(reportOf(view.cluster), 0);
  }
  const running: string[] = [];
  const planner = new Planner(
    state,
    {
      assign: ({ id, request: { tenant } }, { cluster }) => {
        state.queue.remove(id);
        state.ledger.reserve({ id, tenant, cluster, attempt: 1, sinceMs: 0 });
        running.push(id);
      },
      refuse: ({ id }) => void state.queue.remove(id),
    },
    { random: () => 0.5, onDecided: () => {} },
  );
  let serial = 0;
  const arrive = () => state.queue.add(waitingOf(serial++));
  for (let n = 0; n < queued; n++) arrive();
  planner.pass(0);
  return Array.from({ length: rounds }, () => {
    const ending = state.ledger.get(requestId.parse(running.shift()));
    if (ending) state.ledger.ended(ending.id, 0);
    arrive();
    return timed(() => planner.pass(0));
  });
}

function waitingOf(serial: number): Waiting {
  const one = {
    ...asked,
    ...request.parse({ ...Object(input), id: `r${serial}`, tenant: `t${serial % 100}` }),
  };
  return { id: one.id, request: one, model: 'm1', promptTokens: 20, prefix: [], arrivedAtMs: serial };
}

function reportOf(cluster: string): Report {
  const { view } = candidateOf(1);
  const { model, rates } = view;
  const fixed = {
    v: 1,
    agent: 'a1',
    seq: 1,
    startedAtMs: 1,
    sentAtMs: 1,
    phase: 'ready',
    slots: 4,
    inFlight: [],
  };
  return report.parse({ ...fixed, cluster, model, rates });
}

function timed(action: () => void): number {
  const startedAt = process.hrtime.bigint();
  action();
  return Number(process.hrtime.bigint() - startedAt) / 1_000;
}

/** Other work on the machine shows in the highest percentiles first: of ten parts of the run, the least disturbed counts too. */
function print(what: string, microseconds: readonly number[]): void {
  const at = (values: readonly number[], share: number) =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? 0;
  const length = microseconds.length / 10;
  const parts = Array.from({ length: 10 }, (_, part) =>
    microseconds.slice(part * length, (part + 1) * length),
  );
  const calm = Math.min(...parts.map((part) => at(part, 0.99)));
  const [p50, p99] = [at(microseconds, 0.5), at(microseconds, 0.99)].map((value) => value.toFixed(0));
  console.log(
    `${what}: p50 ${p50} µs, p99 ${p99} µs; p99 of the least disturbed tenth ${calm.toFixed(0)} µs`,
  );
}
