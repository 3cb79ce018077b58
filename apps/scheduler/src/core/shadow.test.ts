import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decisionRecord, parseValue, type ShadowNote } from '@drover/schemas';
import fc from 'fast-check';
import { aCandidate, aContext, anAsk, aPolicy, aTariff, aWaiting, cluster } from '../../testing/builders.ts';
import { decide } from './decide.ts';
import { decisionRecordOf } from './record.ts';
import { replay, replayShadow, verdictOf, verdictOfReplay } from './replay.ts';
import { Shadow } from './shadow.ts';
import type { Basis, Candidate } from './types.ts';

const other = aPolicy({ strategy: 'cluster-first', order: [cluster('gcp')] });
const shadowOf = (policy = other, share = 1) => new Shadow('trial', { name: 'other', policy, share });
const fleet = (load = 0): Candidate[] => [
  aCandidate('aws', { load, tariff: aTariff(0.01) }),
  aCandidate('gcp', { tariff: aTariff(1) }),
];
const decidedOn = (candidates: readonly Candidate[], random = 0.5) =>
  decide(anAsk(), candidates, aContext({ random }));

test('a shadow says what it would have done, and the decision stays what it was', () => {
  const decision = decidedOn(fleet());
  const before = JSON.stringify(decision);
  const note = shadowOf().look('r1', decision.basis);
  assert.ok(decision.kind === 'assign');
  assert.equal(decision.cluster, 'aws');
  assert.equal(note?.kind, 'assign');
  assert.equal(note?.chosen, 'gcp');
  assert.ok((note?.marginalUsd ?? 0) > decision.chosen.prediction.marginalUsd);
  assert.equal(JSON.stringify(decision), before);
});

test('a shadow with the policy in force agrees with every decision, whatever the loads and draws', () => {
  const anyDecisions = fc.array(
    fc.record({ load: fc.nat(4), random: fc.double({ min: 0, max: 0.98, noNaN: true }) }),
    { minLength: 1, maxLength: 20 },
  );
  fc.assert(
    fc.property(anyDecisions, (decisions) => {
      const shadow = shadowOf(aPolicy());
      let incumbent: Basis['context']['incumbent'];
      for (const [n, { load, random }] of decisions.entries()) {
        const context = aContext({ random, nowMs: n * 1_000, ...(incumbent ? { incumbent } : {}) });
        const decision = decide(anAsk(), fleet(load), context);
        const note = shadow.look(`r${n}`, decision.basis);
        assert.equal(note?.chosen, decision.kind === 'assign' ? decision.cluster : undefined);
        if (decision.kind === 'assign') incumbent = decision.incumbent ?? incumbent;
      }
    }),
  );
});

test('an error in a shadow is its answer', () => {
  const broken = new Shadow('trial', { name: 'other', policy: other, share: 1 }, () => {
    throw new Error('x'.repeat(1_000));
  });
  const note = broken.look('r1', decidedOn(fleet()).basis);
  assert.equal(note?.kind, 'error');
  assert.ok((note?.error ?? '').length <= 200);
});

test('a shadow is asked about its share of the requests, and always about the same ones', () => {
  const { basis } = decidedOn(fleet());
  const asked = (shadow: Shadow) =>
    Array.from({ length: 1_000 }, (_, n) => shadow.look(`r${n}`, basis) !== undefined);
  const first = asked(shadowOf(other, 0.2));
  assert.deepEqual(asked(shadowOf(other, 0.2)), first);
  const share = first.filter(Boolean).length / first.length;
  assert.ok(share > 0.16 && share < 0.24, `${share}`);
});

test('the record of a turn with a shadow is valid, and both decisions are the same again', () => {
  const turn = { experiment: 'trial', policy: 'a', window: 3, windowStartsAtMs: 0 };
  const shadow = shadowOf(aPolicy({ switchMargin: 0.9 }));
  const notes: ShadowNote[] = [];
  for (const load of [0, 3, 1]) {
    const decision = decidedOn(fleet(load));
    assert.ok(decision.kind === 'assign');
    const note = shadow.look('r1', decision.basis);
    assert.ok(note);
    notes.push(note);
    const record = decisionRecordOf(
      aWaiting(),
      anAsk().estimate,
      { kind: 'assign', cluster: decision.cluster, rule: decision.rule },
      decision.considered,
      { value: aPolicy(), revision: 7, turn },
      0,
      decision.basis,
      note,
    );
    const read = parseValue(decisionRecord, JSON.parse(JSON.stringify(record)));
    assert.ok(read.ok, read.ok ? '' : read.problem);
    const again = replay(read.value);
    assert.ok(again);
    assert.equal(verdictOfReplay(again, 0), verdictOf(read.value));
    assert.deepEqual(replayShadow(read.value, aPolicy({ switchMargin: 0.9 })), note);
  }
  assert.ok(notes[1]?.incumbent, 'the second look has the incumbent of the first');
});
