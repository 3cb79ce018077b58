import assert from 'node:assert/strict';
import test from 'node:test';
import type { Provider, Tariff } from '@drover/schemas';
import {
  aCandidate,
  aContext,
  anAsk,
  aPolicy,
  aReport,
  aRequest,
  aTariff,
  aView,
  aWaiting,
  cluster,
} from '../../testing/builders.ts';
import { State } from '../state.ts';
import { clusterUsdPer1k } from './costs.ts';
import { decide } from './decide.ts';
import { predict } from './estimate.ts';
import { viewOf, withReport } from './fleet.ts';
import { clusterUsdPer1kPrompt } from './prompt-price.ts';
import { decisionRecordOf } from './record.ts';
import { replay, verdictOf, verdictOfReplay } from './replay.ts';
import { chargeFor } from './settle.ts';
import type { Candidate } from './types.ts';

const perToken = (prompt: number, output: number): Tariff => ({
  ...aTariff(0),
  usdPerMillion: { prompt, output },
});

const bought = (
  name: string,
  {
    tariff = perToken(1, 3),
    provider = { ttftMs: 400 },
    ...change
  }: Partial<Candidate> & {
    provider?: Provider;
  } = {},
): Candidate =>
  aCandidate(name, {
    view: aView(name, { provider, rates: { decode: [{ b: 1, tps: 100, n: 100 }] } }),
    tariff,
    ...change,
  });

const own = (name: string, change: Partial<Candidate> = {}): Candidate => aCandidate(name, change);
const full = { load: 4 };

const chosen = (candidates: readonly Candidate[], policy: Parameters<typeof aPolicy>[0]) => {
  const decision = decide(anAsk(), candidates, aContext({ policy: aPolicy(policy) }));
  return decision.kind === 'assign' ? decision.cluster : decision.kind;
};

test('a provider costs its tokens and nothing else, by all three of nominal, marginal and settled', () => {
  const tariff = perToken(0.15, 0.6);
  const { view } = bought('x');
  assert.equal(clusterUsdPer1k(view, tariff), 0.0006);
  assert.equal(clusterUsdPer1kPrompt(view, tariff), 0.00015);
  const estimate = {
    promptTokens: 1_000_000,
    outputTokens: 500_000,
    outputTokensHigh: 500_000,
    outputBasis: 'learned',
  } as const;
  const prediction = predict(estimate, view, 0, tariff, {
    residual: 1,
    cachedTokens: 900_000,
    idleSeconds: 300,
  });
  assert.equal(prediction?.marginalUsd, 0.45);
  assert.equal(prediction?.shareUsd, 0.45);
  const usd = chargeFor({
    cluster: 'x',
    attempt: 1,
    promptTokens: 1_000_000,
    completionTokens: 500_000,
    usdPer1k: clusterUsdPer1k(view, tariff),
    usdPer1kPrompt: clusterUsdPer1kPrompt(view, tariff),
  });
  assert.equal(usd?.toFixed(9), '0.450000000');
});

test('embeddings, whose provider has no price of writing, are charged for what they read, and a ceiling sees that', () => {
  const tariff = perToken(0.02, 0);
  const { view } = bought('x');
  assert.equal(clusterUsdPer1k(view, tariff), 0.00002);
  const usd = chargeFor({
    cluster: 'x',
    attempt: 1,
    promptTokens: 1_000,
    completionTokens: 0,
    usdPer1k: clusterUsdPer1k(view, tariff),
    usdPer1kPrompt: clusterUsdPer1kPrompt(view, tariff),
  });
  assert.equal(usd, 0.00002);
});

test('answers of a provider do not slow each other, and one that is not measured gets no prediction', () => {
  const { view, tariff } = bought('x');
  const { estimate } = anAsk();
  const alone = predict(estimate, view, 0, tariff);
  assert.deepEqual(predict(estimate, view, 3, tariff), alone);
  assert.equal(alone?.ttftMs, 400);
  assert.equal(alone?.tpotMs, 10);
  assert.equal(predict(estimate, aView('x', { provider: {} }), 0, tariff), undefined);
});

test('a node price is no price for a provider', () => {
  const decision = decide(anAsk(), [bought('x', { tariff: aTariff(1) })], aContext());
  assert.equal(decision.considered[0]?.rejection?.code, 'price-unknown');
});

test('by cost alone a provider wins exactly when its tokens cost less than the node', () => {
  assert.equal(chosen([own('aws'), bought('x', { tariff: perToken(0.001, 0.001) })], {}), 'x');
  assert.equal(chosen([own('aws'), bought('x', { tariff: perToken(100, 300) })], {}), 'aws');
});

test('own-first and provider-first order by cost inside the class that they prefer, and take the other when it is full', () => {
  const dear = own('dear', { tariff: aTariff(9) });
  const cheap = bought('cheap', { tariff: perToken(0.001, 0.001) });
  const priced = bought('priced', { tariff: perToken(900, 900) });
  const all = [dear, own('aws'), priced, cheap];
  assert.equal(chosen(all, { strategy: 'own-first' }), 'aws');
  assert.equal(chosen(all, { strategy: 'provider-first' }), 'cheap');
  assert.equal(chosen([{ ...dear, ...full }, priced, cheap], { strategy: 'own-first' }), 'cheap');
  assert.equal(chosen([dear, { ...cheap, ...full }, priced], { strategy: 'provider-first' }), 'priced');
  assert.equal(chosen([dear, { ...cheap, ...full }], { strategy: 'provider-first' }), 'dear');
});

test('as a fallback providers get only what no cluster of our own can take now, whatever the strategy', () => {
  const cheap = bought('x', { tariff: perToken(0.001, 0.001) });
  const broken = { breaker: { allowed: false, detail: 'open', opens: 1 } };
  for (const strategy of ['cost', 'latency', 'own-first', 'provider-first'] as const) {
    assert.equal(chosen([own('aws'), cheap], { strategy, providers: 'fallback' }), 'aws');
    assert.equal(chosen([own('aws', full), cheap], { strategy, providers: 'fallback' }), 'x');
    assert.equal(chosen([own('aws', broken), cheap], { strategy, providers: 'fallback' }), 'x');
  }
});

test('where the policy uses no providers, a request waits for a cluster of our own, and is refused if there is none', () => {
  assert.equal(chosen([own('aws', full), bought('x')], { providers: 'off' }), 'defer');
  assert.equal(chosen([bought('x')], { providers: 'off' }), 'reject');
});

test('an answer that was begun elsewhere cannot go to a provider, and one that was not can', () => {
  const other = {
    ...aView('x').model,
    name: 'm1',
    hash: 'theirs',
    contextTokens: 2048,
    endpoints: ['chat' as const],
  };
  const provider = bought('x', {
    view: aView('x', { provider: { ttftMs: 1 }, model: other, rates: { decode: [{ b: 1, tps: 9, n: 9 }] } }),
  });
  const begun = decide(anAsk(aRequest(), { modelHash: 'h1' }), [provider], aContext());
  assert.equal(begun.considered[0]?.rejection?.code, 'model-hash-differs');
  assert.equal(decide(anAsk(aRequest(), { leave: cluster('aws') }), [provider], aContext()).kind, 'assign');
});

test('a limited provider is refused by what limits it once its running jobs fill it, and the wait is known', () => {
  const limit = { reason: 'budget-spent', resumesInMs: 5_000 } as const;
  const provider = bought('x', {
    view: aView('x', {
      provider: { ttftMs: 1, limit },
      slots: 1,
      rates: { decode: [{ b: 1, tps: 9, n: 9 }] },
    }),
    load: 1,
  });
  const decision = decide(anAsk(), [provider], aContext());
  assert.deepEqual(decision.considered[0]?.rejection, {
    code: 'provider-limited',
    detail: 'budget-spent, for 5.0 s more',
    permanent: false,
  });
  assert.equal(decision.kind === 'defer' && decision.etaMs, 5_000);
});

test('a batch request is refused early when the provider comes back only after its deadline', () => {
  const limit = { reason: 'budget-spent', resumesInMs: 5_000_000 } as const;
  const provider = bought('x', {
    view: aView('x', {
      provider: { ttftMs: 1, limit },
      slots: 0,
      rates: { decode: [{ b: 1, tps: 9, n: 9 }] },
    }),
  });
  const decision = decide(anAsk(aRequest({ priority: 'batch' })), [provider], aContext());
  assert.equal(decision.kind === 'reject' && decision.code, 'queue_full');
});

test('the agents of a provider are one cluster: slots add up, and the limit of one is told', () => {
  const report = (agent: string, provider: Provider, slots: number) =>
    aReport({ cluster: 'x', agent, slots, provider });
  const limit = { reason: 'told-to-wait', resumesInMs: 9 } as const;
  const one = withReport(new Map(), report('a', { ttftMs: 100 }, 2), 0);
  const fleet = withReport(one, report('b', { ttftMs: 300, limit }, 0), 0);
  const view = viewOf(fleet, cluster('x'), 0, 1_000);
  assert.deepEqual([view.slots, view.provider], [2, { ttftMs: 200, limit }]);
});

test('where every agent of a provider is held back, a slot that its running job gives back is not free', () => {
  const limit = { reason: 'told-to-wait', resumesInMs: 9_000 } as const;
  const report = aReport({ cluster: 'x', agent: 'a', slots: 1, provider: { ttftMs: 100, limit } });
  const fleet = withReport(new Map(), report, 0);
  const view = viewOf(fleet, cluster('x'), 0, 1_000);
  assert.equal(view.slots, 0);
  const decision = decide(anAsk(), [bought('x', { view, load: 0 })], aContext());
  assert.equal(decision.considered[0]?.rejection?.code, 'provider-limited');
});

test('a decision about providers can be repeated from its record, number by number, and shows prices per token', () => {
  const basis = decide(
    anAsk(),
    [own('aws'), bought('x')],
    aContext({ policy: aPolicy({ providers: 'fallback' }) }),
  );
  assert.equal(basis.kind, 'assign');
  const record = decisionRecordOf(
    aWaiting(),
    anAsk().estimate,
    {
      kind: 'assign',
      cluster: basis.kind === 'assign' ? basis.cluster : cluster('none'),
      rule: basis.kind === 'assign' ? basis.rule : '',
    },
    basis.considered,
    { value: aPolicy({ providers: 'fallback' }), revision: 1 },
    0,
    basis.basis,
  );
  const told = record.candidates.find((one) => one.cluster === 'x');
  assert.deepEqual([told?.usdPerHour, told?.usdPerMillion], [undefined, { prompt: 1, output: 3 }]);
  const again = replay(record);
  assert.ok(again);
  assert.equal(verdictOfReplay(again, 0), verdictOf(record));
});

test('a provider has no node to wake or to let go, and what runs there asks for nodes only where it is a stopgap', () => {
  const state = new State();
  const [x, aws] = [cluster('x'), cluster('aws')];
  state.setTariff(x, perToken(1, 3));
  state.setTariff(aws, aTariff(1));
  assert.deepEqual(state.nodeClusters(), ['aws']);
  const { id, request } = aWaiting();
  const assignment = { id, tenant: request.tenant, cluster: x, attempt: 1, sinceMs: 0 };
  state.ledger.running(assignment);
  assert.equal(state.jobsForNodes(), 0);
  state.setPolicy({ value: aPolicy({ providers: 'fallback' }), revision: 1 });
  assert.equal(state.jobsForNodes(), 1);
});
