import { type Reply, streams, Transcript } from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';
import { Ledger } from '../../../apps/scheduler/src/core/ledger.ts';
import { HeldMessages } from '../../../apps/scheduler/src/nats/held-messages.ts';
import type { Violation } from './history.ts';
import type { RunOptions } from './run-seed.ts';
import type { Fault, Scenario } from './scenario.ts';

/** A safeguard taken away, to see that the simulation notices. */
export type Mutation = {
  readonly without: string;
  /** One of these has to be found violated. */
  readonly violates: readonly Violation['invariant'][];
  readonly options?: RunOptions;
  /** Replaces a step of production code until disposed. */
  readonly install?: () => Disposable;
};

/** Replaces a method of a class, and puts it back. */
function replace<T extends object, K extends keyof T>(
  target: T,
  name: K,
  by: (before: T[K]) => T[K],
): Disposable {
  const before = target[name];
  target[name] = by(before);
  return {
    [Symbol.dispose]: () => {
      target[name] = before;
    },
  };
}

/** Every owner says other tokens, slowly enough to be interrupted, and the first agent is the first owner. */
const sampled = (scenario: Scenario): Scenario => ({
  ...scenario,
  clusters: scenario.clusters.map((cluster, index) => ({
    ...cluster,
    usdPerHour: index === 0 ? 0.01 : cluster.usdPerHour,
  })),
  asks: scenario.asks.map((ask) => ({ ...ask, sampled: true, kind: 'tokens', streamed: true, gapMs: 250 })),
});

/** What it says arrives after somebody has taken over. */
const stalledOwner: Fault = { kind: 'stall', role: 'agent', index: 0, atMs: 1_500, forMs: 1_700 };

/** The stream misses tokens that the reader hears; their owner dies, and the reader is cut off from the next. */
const forgottenTokens: readonly Fault[] = [
  { kind: 'election', role: 'agent', index: 0, atMs: 1_700, forMs: 900, streams: [streams.replies.name] },
  { kind: 'kill', role: 'agent', index: 0, atMs: 2_500, forMs: 10_000 },
  { kind: 'cut', role: 'ingress', index: 0, atMs: 3_500, forMs: 4_000 },
];

const oneSlot = (scenario: Scenario): Scenario => ({
  ...scenario,
  clusters: scenario.clusters.slice(0, 1).map((cluster) => ({ ...cluster, agents: [1] })),
});

const noJobs: Fault = {
  kind: 'election',
  role: 'agent',
  index: 0,
  atMs: 300,
  forMs: 3_000,
  streams: [streams.jobs.name],
};

export const mutations: readonly Mutation[] = [
  {
    without: 'compare-and-set on the event log, the fence of owners',
    violates: ['exactly-one-outcome', 'at-most-one-owner-commits'],
    options: { withoutGuards: [streams.events.name] },
  },
  {
    without: 'compare-and-set and message ids of jobs',
    violates: ['one-assignment-at-a-time'],
    options: { withoutGuards: [streams.jobs.name] },
  },
  {
    without: 'the check of fences in readers',
    violates: ['stale-owner-is-never-heard', 'every-token-once-in-order', 'exactly-one-outcome'],
    options: { change: (scenario) => ({ ...sampled(scenario), faults: [stalledOwner] }) },
    install: () =>
      replace(
        Transcript.prototype,
        'accept',
        (before) =>
          function (this: Transcript, reply: Reply) {
            const f = this.open?.f ?? this.fence;
            return before.call(this, reply.f < this.fence ? { ...reply, f } : reply);
          },
      ),
  },
  {
    without: 'the numbers of units in readers',
    violates: ['stale-owner-is-never-heard', 'every-token-once-in-order', 'exactly-one-outcome'],
    install: () =>
      replace(
        Transcript.prototype,
        'accept',
        (before) =>
          function (this: Transcript, reply: Reply) {
            return before.call(this, reply.k === 'tokens' ? { ...reply, i: this.units.length } : reply);
          },
      ),
  },
  {
    without: 'the comparison of a replayed reply with what was handed on already',
    violates: ['stale-owner-is-never-heard', 'every-token-once-in-order'],
    options: { change: (scenario) => ({ ...sampled(scenario), faults: forgottenTokens }) },
    install: () => replace(Transcript.prototype, 'extends', () => () => true),
  },
  {
    without: 'the release of a slot whose job was not stored',
    violates: ['nothing-waits-forever'],
    options: { change: (scenario) => ({ ...oneSlot(scenario), faults: [noJobs] }) },
    install: () => replace(Ledger.prototype, 'release', () => () => {}),
  },
  {
    without: 'holding a request until it is in other hands',
    violates: ['nothing-waits-forever'],
    install: () =>
      replace(
        HeldMessages.prototype,
        'add',
        (before) =>
          function (this: HeldMessages, id: Parameters<typeof before>[0], message: JsMsg) {
            message.ack();
            before.call(this, id, message);
          },
      ),
  },
  {
    without: 'counting what a cluster has already got',
    violates: ['no-assignment-beyond-slots'],
    install: () => replace(Ledger.prototype, 'load', () => () => 0),
  },
  {
    without: 'storing dead letters',
    violates: ['dead-letter-after-max-attempts'],
    options: { forgetful: [streams.deadLetters.name] },
  },
];
