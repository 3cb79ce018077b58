import {
  type ClusterId,
  clusterId,
  type Policy,
  type PolicyInput,
  policy,
  type Report,
  type Request,
  type RequestInput,
  report,
  request,
  type Tariff,
  tariff,
} from '@drover/schemas';
import { estimateTokens } from '../src/core/estimate.ts';
import { promptTokens } from '../src/core/prompt-tokens.ts';
import type { Ask, Candidate, ClusterView, Context, Waiting } from '../src/core/types.ts';

/** Values for unit tests: sensible ones, of which a test names only what it is about. */
export const cluster = (name: string): ClusterId => clusterId.parse(name);

export const aTariff = (usdPerHour = 0.1): Tariff =>
  tariff.parse({ v: 1, usdPerHour, market: 'on-demand', source: 'test', asOf: '2025-01-01T00:00:00Z' });

export const aPolicy = (change: Partial<PolicyInput> = {}): Policy =>
  policy.parse({ v: 1, strategy: 'cost', ...change });

export const aRequest = (change: Partial<Record<keyof RequestInput, unknown>> = {}): Request =>
  request.parse({
    v: 1,
    id: 'r1',
    tenant: 't1',
    priority: 'standard',
    submittedAtMs: 0,
    deadlineAtMs: 1_000_000,
    endpoint: 'chat',
    body: { model: 'm1', messages: [{ role: 'user', content: 'hello world' }] },
    ...change,
  });

export const anAsk = (asked: Request = aRequest(), change: Partial<Ask> = {}): Ask => ({
  request: asked,
  model: 'm1',
  estimate: estimateTokens(asked, promptTokens(asked), undefined),
  ...change,
});

export const aView = (name: string, change: Partial<ClusterView> = {}): ClusterView => ({
  cluster: cluster(name),
  phase: 'ready',
  reportAgeMs: 100,
  slots: 4,
  nodes: 1,
  model: {
    name: 'm1',
    hash: 'h1',
    contextTokens: 2048,
    endpoints: ['chat', 'completion'],
  },
  rates: {
    prefillTps: 200,
    decode: [
      { b: 1, tps: 20, n: 100 },
      { b: 4, tps: 25, n: 100 },
    ],
  },
  ...change,
});

export const aCandidate = (
  name: string,
  change: Partial<Candidate> & { view?: ClusterView } = {},
): Candidate => ({
  view: aView(name),
  load: 0,
  tariff: aTariff(),
  breaker: { allowed: true, detail: '', opens: 0 },
  ...change,
});

export const aContext = (change: Partial<Context> = {}): Context => ({
  policy: aPolicy(),
  nowMs: 0,
  random: 0,
  ...change,
});

export const aReport = (change: Partial<Record<keyof Report, unknown>> = {}): Report =>
  report.parse({
    v: 1,
    cluster: 'aws',
    agent: 'a1',
    seq: 1,
    startedAtMs: 1,
    sentAtMs: 1,
    phase: 'ready',
    slots: 2,
    inFlight: [],
    model: { name: 'm1', hash: 'h1', contextTokens: 2048, endpoints: ['chat'] },
    rates: { prefillTps: 100, decode: [{ b: 1, tps: 10, n: 100 }] },
    ...change,
  });

export const aWaiting = (change: Partial<Record<keyof RequestInput, unknown>> = {}): Waiting => {
  const asked = aRequest(change);
  return {
    id: asked.id,
    request: asked,
    model: asked.body.model,
    promptTokens: promptTokens(asked),
    arrivedAtMs: asked.submittedAtMs,
  };
};
