import assert from 'node:assert/strict';
import test from 'node:test';
import type { Policy } from '@drover/schemas';
import fc from 'fast-check';
import {
  aCandidate,
  aContext,
  anAsk,
  aPolicy,
  aRequest,
  aTariff,
  aView,
  cluster,
} from '../../testing/builders.ts';
import { decide } from './decide.ts';
import type { Candidate } from './types.ts';

const names = ['aws', 'azure', 'edge', 'gcp', 'lab'];

const anyPolicy: fc.Arbitrary<Policy> = fc.oneof(
  fc.constant(aPolicy()),
  fc.constant(aPolicy({ strategy: 'latency' })),
  fc.constant(aPolicy({ strategy: 'cluster-first', order: [cluster('gcp'), cluster('aws')] })),
  fc.constant(
    aPolicy({ strategy: 'weighted', weights: Object.fromEntries(names.map((n) => [cluster(n), 1])) }),
  ),
);

const anyCandidate = (name: string): fc.Arbitrary<Candidate> =>
  fc
    .record({
      phase: fc.constantFrom('ready', 'ready', 'ready', 'booting', 'draining', 'down', 'silent' as const),
      slots: fc.integer({ min: 0, max: 6 }),
      load: fc.integer({ min: 0, max: 8 }),
      usdPerHour: fc.option(fc.double({ min: 0, max: 10, noNaN: true }), { nil: undefined }),
      tps: fc.option(fc.double({ min: 0.01, max: 1e4, noNaN: true }), { nil: undefined }),
      open: fc.boolean(),
      model: fc.constantFrom('m1', 'm1', 'm1', 'm2'),
    })
    .map(({ phase, slots, load, usdPerHour, tps, open, model }) => {
      const { rates: _, ...view } = aView(name, {
        phase,
        slots: phase === 'ready' ? slots : 0,
        nodes: phase === 'ready' ? 1 : 0,
        model: { name: model, hash: 'h1', contextTokens: 2_048, endpoints: ['chat'] },
      });
      return {
        view:
          tps === undefined
            ? view
            : { ...view, rates: { prefillTps: tps * 10, decode: [{ b: 1, tps, n: 9 }] } },
        load,
        ...(usdPerHour === undefined ? {} : { tariff: aTariff(usdPerHour) }),
        breaker: { allowed: !open, detail: open ? 'open' : '', opens: open ? 1 : 0 },
      };
    });

const anyFleet = fc.subarray(names).chain((some) => fc.tuple(...some.map(anyCandidate)));
const anyRandom = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

const canTakeNow = ({ view, load, tariff, breaker }: Candidate): boolean =>
  view.phase === 'ready' &&
  view.model?.name === 'm1' &&
  view.rates !== undefined &&
  tariff !== undefined &&
  load < view.slots &&
  breaker.allowed;

// Slow clusters would miss the deadline of a real request; that filter is tried elsewhere.
const patient = anAsk(aRequest({ deadlineAtMs: 1e15 }));

test('a feasible cluster is never left unused, and never is another one chosen', () => {
  fc.assert(
    fc.property(anyFleet, anyPolicy, anyRandom, (fleet, policy, random) => {
      const decision = decide(patient, fleet, aContext({ policy, random }));
      const feasible = fleet.filter(canTakeNow);
      if (feasible.length > 0) {
        assert.equal(decision.kind, 'assign');
        assert.ok(
          decision.kind === 'assign' && feasible.some(({ view }) => view.cluster === decision.cluster),
        );
      } else if (decision.kind === 'assign') {
        assert.equal(decision.rule, 'breaker-failed-open');
      }
    }),
  );
});

test('every score is finite, and every cluster is accounted for once', () => {
  fc.assert(
    fc.property(anyFleet, anyPolicy, anyRandom, (fleet, policy, random) => {
      const { considered } = decide(patient, fleet, aContext({ policy, random }));
      assert.deepEqual(
        considered.map(({ candidate }) => candidate.view.cluster).toSorted(),
        fleet.map(({ view }) => view.cluster).toSorted(),
      );
      for (const { score, rejection } of considered)
        assert.ok(score === undefined ? rejection : Number.isFinite(score));
    }),
  );
});

test('a cluster that gets dearer is never chosen where it was not before', () => {
  fc.assert(
    fc.property(
      anyFleet,
      fc.nat({ max: 4 }),
      fc.double({ min: 1, max: 100, noNaN: true }),
      (fleet, index, factor) => {
        const dearer = fleet[index];
        if (!dearer?.tariff) return;
        const { usdPerHour } = dearer.tariff;
        const after = fleet.map((one) =>
          one === dearer ? { ...one, tariff: aTariff(usdPerHour * factor) } : one,
        );
        const was = decide(patient, fleet, aContext());
        const is = decide(patient, after, aContext());
        if (is.kind === 'assign' && is.cluster === dearer.view.cluster)
          assert.equal(was.kind === 'assign' && was.cluster, dearer.view.cluster);
      },
    ),
  );
});

test('an idle cluster that has never served wins by its self-benchmark', () => {
  const busy = aCandidate('aws', { load: 3, tariff: aTariff(0.2) });
  const idle = aCandidate('gcp', { load: 0, tariff: aTariff(0.1) });
  const decision = decide(anAsk(), [busy, idle], aContext());
  assert.equal(decision.kind === 'assign' && decision.cluster, 'gcp');
});

test('an empty fleet is waited for, and so is one that does not know its model yet', () => {
  assert.equal(decide(anAsk(), [], aContext()).kind, 'defer');
  const { model: _, ...view } = aView('aws', { phase: 'booting' });
  const others = aCandidate('gcp', { view: aView('gcp', { model: { ...aModel, name: 'm2' } }) });
  assert.equal(decide(anAsk(), [aCandidate('aws', { view }), others], aContext()).kind, 'defer');
});

test('a request that no cluster can ever take is refused with the code of the nearest miss', () => {
  const m2 = aCandidate('aws', { view: aView('aws', { model: { ...aModel, name: 'm2' } }) });
  const dear = aCandidate('gcp');
  const ask = anAsk(aRequest({ maxUsdPer1k: 1e-9 }));
  const decision = decide(ask, [m2, dear], aContext());
  assert.equal(decision.kind === 'reject' && decision.code, 'no_cluster_within_ceiling');
  const none = decide(anAsk(), [m2], aContext());
  assert.equal(none.kind === 'reject' && none.code, 'model_not_found');
});

test('a dear cluster that is free is not used when the ceiling allows only a full one', () => {
  const full = aCandidate('aws', { load: 4, tariff: aTariff(0.09) });
  const dear = aCandidate('gcp', { tariff: aTariff(9) });
  const decision = decide(anAsk(aRequest({ maxUsdPer1k: 0.01 })), [full, dear], aContext());
  assert.equal(decision.kind, 'defer');
});

test('breakers do not take away the last cluster, but a full sound one is waited for', () => {
  const open = (name: string, opens: number) =>
    aCandidate(name, { breaker: { allowed: false, detail: 'open', opens } });
  const decision = decide(anAsk(), [open('aws', 3), open('gcp', 1)], aContext());
  assert.equal(decision.kind === 'assign' && decision.cluster, 'gcp');
  assert.equal(decision.kind === 'assign' && decision.rule, 'breaker-failed-open');
  assert.equal(decision.kind === 'assign' ? decision.incumbent : 'none', undefined);
  assert.equal(decide(anAsk(), [open('aws', 1), aCandidate('gcp', { load: 4 })], aContext()).kind, 'defer');
});

test('latency prefers the cluster that answers first at its present load', () => {
  const context = aContext({ policy: aPolicy({ strategy: 'latency' }) });
  const decision = decide(anAsk(), [aCandidate('aws', { load: 3 }), aCandidate('gcp')], context);
  assert.equal(decision.kind === 'assign' && decision.cluster, 'gcp');
});

test('cluster-first takes the first listed that can, then the others by cost', () => {
  const policy = aPolicy({ strategy: 'cluster-first', order: [cluster('gcp'), cluster('aws')] });
  const fleet = [aCandidate('aws'), aCandidate('edge', { tariff: aTariff(0.01) }), aCandidate('gcp')];
  const decision = decide(anAsk(), fleet, aContext({ policy }));
  assert.deepEqual(
    decision.considered.map(({ candidate }) => candidate.view.cluster),
    ['gcp', 'aws', 'edge'],
  );
});

test('a weighted draw gives each cluster its share', () => {
  const policy = aPolicy({ strategy: 'weighted', weights: { [cluster('aws')]: 3, [cluster('gcp')]: 1 } });
  const fleet = [aCandidate('aws'), aCandidate('gcp')];
  const chosen = Array.from({ length: 100 }, (_, n) =>
    decide(anAsk(), fleet, aContext({ policy, random: n / 100 })),
  );
  assert.equal(chosen.filter((one) => one.kind === 'assign' && one.cluster === 'aws').length, 75);
});

const aModel = { name: 'm1', hash: 'h1', contextTokens: 2_048, endpoints: ['chat' as const] };
