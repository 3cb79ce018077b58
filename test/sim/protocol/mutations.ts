import { buckets, natsHeaders, type Reply, streams, subjects, Transcript } from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';
import { headers } from 'nats';
import { Ledger } from '../../../apps/scheduler/src/core/ledger.ts';
import { HeldMessages } from '../../../apps/scheduler/src/nats/held-messages.ts';
import { WakeWriter } from '../../../apps/scheduler/src/nats/wakes.ts';
import type { Violation } from './history.ts';
import { Random } from './random.ts';
import type { RunOptions } from './run-seed.ts';
import { type Fault, type Scenario, scaling } from './scenario.ts';

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

/** Every run is about the leader, and slow enough that a leader is interrupted between two of its steps. */
const oneLeader = (scenario: Scenario): Scenario => ({
  ...scaling(scenario, new Random(scenario.seed)),
  linkDelayMs: 60,
});

/** One scheduler stands still, for a little longer than a lease, while nodes are let go. */
const pausedLeader = (scenario: Scenario): Scenario => {
  const random = new Random(scenario.seed);
  return {
    ...oneLeader(scenario),
    asks: scenario.asks.map((ask) => ({ ...ask, atMs: 500, gapMs: 5, poison: false })),
    faults: [
      {
        kind: 'pause',
        role: 'scheduler',
        index: random.int(0, 1),
        atMs: random.between(1_500, 4_500),
        forMs: random.between(5_000, 7_000),
      },
    ],
  };
};

/** Each scheduler dies about when the first request reaches it. */
const killedSchedulers = (scenario: Scenario): Scenario => {
  const random = new Random(scenario.seed);
  return {
    ...scenario,
    linkDelayMs: 60,
    faults: [0, 1].map((index) => ({
      kind: 'kill',
      role: 'scheduler',
      index,
      atMs: (scenario.asks[0]?.atMs ?? 0) + random.between(50, 300),
      forMs: 1_000,
    })),
  };
};

/** Acknowledgements of schedulers are lost, again and again. */
const cutSettlers = (scenario: Scenario): Scenario => {
  const random = new Random(scenario.seed);
  return {
    ...scenario,
    settles: true,
    linkDelayMs: 60,
    faults: Array.from({ length: 4 }, (_, n) => ({
      kind: 'cut',
      role: 'scheduler',
      index: n % 2,
      atMs: random.between(1_000, 4_000),
      forMs: 300,
    })),
  };
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
    options: { change: killedSchedulers },
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
    without: 'compare-and-set on the lease',
    violates: ['one-leader-at-a-time'],
    options: { withoutGuards: [`KV_${buckets.leases.name}`], change: oneLeader },
  },
  {
    without: "the fence of a leader's writes",
    violates: ['deposed-leader-changes-nothing'],
    options: { change: oneLeader },
    install: () =>
      replace(
        WakeWriter.prototype,
        'write',
        (before) =>
          async function (this: WakeWriter, wanted, token) {
            if (await before.call(this, wanted, token)) return true;
            const about = headers();
            about.set(natsHeaders.fence, String(token));
            const subject = subjects.wake(wanted.cluster, wanted.node);
            await this.nats.js.publish(subject, JSON.stringify(wanted), { headers: about, ttl: '60s' });
            return true;
          },
      ),
  },
  {
    without: 'the fence of what a leader takes back',
    violates: ['deposed-leader-changes-nothing'],
    options: { change: pausedLeader },
    install: () =>
      replace(
        WakeWriter.prototype,
        'remove',
        () =>
          async function (this: WakeWriter, cluster, node) {
            const last = await this.nats.jsm.direct.getMessage(streams.wakes.name, {
              last_by_subj: subjects.wake(cluster, node),
            });
            return last !== null && this.nats.jsm.streams.deleteMessage(streams.wakes.name, last.seq, false);
          },
      ),
  },
  {
    without: 'compare-and-set on the ledger',
    violates: ['settled-exactly-once'],
    options: { withoutGuards: [streams.ledger.name], change: cutSettlers },
  },
  {
    without: 'storing dead letters',
    violates: ['dead-letter-after-max-attempts'],
    options: { forgetful: [streams.deadLetters.name] },
  },
];
