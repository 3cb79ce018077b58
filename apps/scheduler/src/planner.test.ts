import assert from 'node:assert/strict';
import test from 'node:test';
import { type ClusterId, experiment } from '@drover/schemas';
import fc from 'fast-check';
import { aPolicy, aReport, aTariff, aWaiting, cluster } from '../testing/builders.ts';
import type { Waiting } from './core/types.ts';
import { Planner } from './planner.ts';
import { State } from './state.ts';

const clusters = ['aws', 'gcp', 'azure'].map(cluster);

/** A scheduler without its shell: decisions change the state as the shell would, and are written down. */
class Model {
  readonly state = new State();
  readonly assigned: { id: string; cluster: ClusterId }[] = [];
  readonly planner: Planner;
  nowMs = 1_000;
  #serial = 0;
  #reports = 0;

  constructor(bufferSlots = 0) {
    this.state.setPolicy({ value: aPolicy({ bufferSlots }), revision: 1 });
    clusters.forEach((name, index) => void this.state.setTariff(name, aTariff(0.1 + index / 50)));
    this.planner = new Planner(
      this.state,
      {
        assign: (waiting, decision) => this.#assign(waiting, decision.cluster),
        refuse: (waiting) => void this.state.queue.remove(waiting.id),
      },
      { random: () => 0.5, onDecided: () => {} },
    );
  }

  #assign(waiting: Waiting, to: ClusterId): void {
    const { slots, phase } = this.state.view(to, this.nowMs);
    assert.equal(phase, 'ready');
    assert.ok(
      this.state.ledger.load(to) < slots + this.state.policy.value.bufferSlots,
      'assigned beyond the free slots',
    );
    this.state.queue.remove(waiting.id);
    const { tenant } = waiting.request;
    this.state.ledger.reserve({ id: waiting.id, tenant, cluster: to, attempt: 1, sinceMs: this.nowMs });
    this.assigned.push({ id: waiting.id, cluster: to });
  }

  arrive(): void {
    this.state.queue.add(aWaiting({ id: `r${this.#serial++}`, deadlineAtMs: 1e9 }));
  }

  report(index: number, slots: number, phase = 'ready'): void {
    const change = { cluster: clusters[index], seq: this.#reports++, slots, phase };
    this.state.hearReport(aReport(change), this.nowMs);
  }

  /** The n-th assignment that is not settled makes a step. */
  progress(n: number, step: 'running' | 'released' | 'ended'): void {
    const all = [...this.state.ledger.all()];
    const one = all[n % Math.max(1, all.length)];
    if (!one) return;
    if (step === 'ended') this.state.ledger.ended(one.id, this.nowMs);
    else this.state.ledger[step]({ ...one, sinceMs: this.nowMs });
  }

  pass(): void {
    this.planner.pass(this.nowMs);
  }
}

const anyStep = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: 'arrive' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('report' as const),
      index: fc.nat({ max: 2 }),
      slots: fc.nat({ max: 4 }),
      phase: fc.constantFrom('ready', 'ready', 'draining', 'down'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('progress' as const),
      n: fc.nat({ max: 20 }),
      step: fc.constantFrom('running', 'released', 'ended' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat({ max: 2_500 }) }) },
);

test('in any interleaving, no assignment goes beyond free slots and buffer, and no free slot is left while somebody waits', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 80 }), fc.nat({ max: 2 }), (steps, bufferSlots) => {
      const model = new Model(bufferSlots);
      for (const step of steps) {
        if (step.kind === 'arrive') model.arrive();
        else if (step.kind === 'report') model.report(step.index, step.slots, step.phase);
        else if (step.kind === 'progress') model.progress(step.n, step.step);
        else model.nowMs += step.ms;
        model.pass();
        const free = clusters.filter((name) => {
          const { phase, slots } = model.state.view(name, model.nowMs);
          return phase === 'ready' && model.state.ledger.load(name) < slots;
        });
        if (model.state.queue.size > 0) assert.deepEqual(free, []);
      }
    }),
  );
});

test('a burst of sixty spreads over all slots by cost, without a herd', () => {
  const model = new Model();
  model.report(0, 4);
  model.report(1, 2);
  model.report(2, 3);
  for (let n = 0; n < 60; n++) model.arrive();
  model.pass();
  const counts = clusters.map((name) => model.assigned.filter((one) => one.cluster === name).length);
  assert.deepEqual(counts, [4, 2, 3]);
  assert.equal(model.state.queue.size, 51);
  assert.equal(model.assigned[0]?.cluster, 'aws');
});

test('a pass without a free slot decides nothing, however many wait', () => {
  let decided = 0;
  const state = new State();
  const planner = new Planner(
    state,
    { assign: () => {}, refuse: () => {} },
    { random: () => 0, onDecided: () => decided++ },
  );
  for (let n = 0; n < 768; n++) state.queue.add(aWaiting({ id: `r${n}` }));
  planner.pass(0);
  assert.equal(decided, 0);
});

test('a price that changes does not wait for the dwell time of the incumbent', () => {
  const model = new Model();
  model.report(0, 4);
  model.report(1, 4);
  model.arrive();
  model.pass();
  const [aws] = clusters;
  assert.ok(aws);
  model.state.setTariff(aws, aTariff(5));
  model.arrive();
  model.pass();
  assert.deepEqual(
    model.assigned.map((one) => one.cluster),
    ['aws', 'gcp'],
  );
});

test('a cluster that falls silent with jobs running has failed each of them, once', () => {
  const model = new Model();
  model.report(0, 8);
  for (let n = 0; n < 6; n++) model.arrive();
  model.pass();
  for (let n = 0; n < 6; n++) model.progress(0, 'running');
  model.nowMs += 4_000;
  const [aws] = clusters;
  assert.ok(aws);
  model.state.noteSilences(model.nowMs);
  const breaker = model.state.breaker(aws, model.nowMs);
  assert.equal(breaker.state, 'open');
  model.state.noteSilences(model.nowMs + 1_000);
  assert.deepEqual(model.state.breaker(aws, model.nowMs), breaker);
});

const startsAtMs = Date.parse('1970-01-01T00:10:00Z');
const trial = experiment.parse({
  v: 1,
  name: 'trial',
  switchback: {
    policies: {
      a: { v: 1, strategy: 'cluster-first', order: ['azure'] },
      b: { v: 1, strategy: 'cluster-first', order: ['gcp'] },
    },
    seed: 1,
    startsAt: '1970-01-01T00:10:00Z',
    endsAt: '1970-01-01T01:10:00Z',
    windowMs: 600_000,
  },
});

test('while policies take turns each decides in its own time, and the active policy before and after', () => {
  const model = new Model();
  model.state.setExperiment({ value: trial, revision: 9 });
  const decidedAt = (nowMs: number) => {
    model.nowMs = nowMs;
    for (const index of [0, 1, 2]) model.report(index, 2);
    model.arrive();
    model.planner.pass(nowMs);
    const { cluster: chosen } = model.assigned.at(-1) ?? assert.fail();
    model.progress(0, 'ended');
    return { chosen, policy: model.state.policy };
  };
  assert.deepEqual(decidedAt(startsAtMs - 1).policy, { value: aPolicy({ bufferSlots: 0 }), revision: 1 });
  const turns = [0, 1, 2, 3, 4, 5].map((window) => decidedAt(startsAtMs + window * 600_000));
  for (const { chosen, policy } of turns) {
    assert.equal(chosen, policy.turn?.policy === 'a' ? 'azure' : 'gcp');
    assert.equal(policy.revision, 9);
  }
  assert.equal(turns.filter(({ policy }) => policy.turn?.policy === 'a').length, 3);
  // A policy that is put in force meanwhile waits for the end of the experiment.
  model.state.setPolicy({ value: aPolicy({ strategy: 'latency' }), revision: 10 });
  assert.ok(model.state.policy.turn);
  assert.equal(decidedAt(startsAtMs + 3_600_000).policy.revision, 10);
});

test('a policy that takes its turn finds no incumbents, and keeps its own while its time lasts', () => {
  const { state } = new Model();
  const seat = () => state.incumbents.set('m1', { cluster: cluster('aws'), sinceMs: 0 });
  state.setExperiment({ value: trial, revision: 9 });
  seat();
  state.turn(startsAtMs);
  assert.equal(state.incumbents.size, 0);
  seat();
  state.turn(startsAtMs + 599_999);
  assert.equal(state.incumbents.size, 1);
  state.setExperiment(undefined);
  state.turn(startsAtMs + 599_999);
  assert.equal(state.incumbents.size, 0);
  assert.equal(state.policy.revision, 1);
});

test('without an experiment the time changes nothing of the policy', () => {
  const { state } = new Model();
  state.incumbents.set('m1', { cluster: cluster('aws'), sinceMs: 0 });
  const { policy } = state;
  state.turn(startsAtMs);
  assert.equal(state.policy, policy);
  assert.equal(state.incumbents.size, 1);
});
