import type { RequestInput } from '@drover/schemas';
import { type Policy, policy, requestId, tenantId } from '@drover/schemas';
import { epochMs } from './clock.ts';
import { Random } from './random.ts';

/** One request of a run: what is asked, and how the client and llama.cpp behave. */
export type Ask = {
  readonly number: number;
  readonly atMs: number;
  /** What llama.cpp would say; the client allows `limit`. */
  readonly tokens: number;
  readonly limit: number;
  readonly gapMs: number;
  readonly kind: 'tokens' | 'deltas' | 'body';
  readonly streamed: boolean;
  /** Every generation says other tokens. */
  readonly sampled: boolean;
  /** Whoever runs it fails, after so many tokens. */
  readonly poison: boolean;
  readonly poisonAfter: number;
  readonly holdsText: boolean;
  readonly deadlineMs: number;
  /** Submitted a second time under the same id, so long after the first time. */
  readonly againAfterMs: number | undefined;
  readonly cancelAfterMs: number | undefined;
};

export type ClusterPlan = {
  readonly name: string;
  readonly usdPerHour: number;
  /** Slots of each of its agents. */
  readonly agents: readonly number[];
};

export const faultKinds = [
  'kill',
  'pause',
  'cut',
  'stall',
  'drain',
  'backend-crash',
  'election',
  'hub-restart',
] as const;

export type Fault = {
  readonly kind: (typeof faultKinds)[number];
  readonly atMs: number;
  readonly forMs: number;
  /** Which of the processes of that role, counted from 0; unused by faults of the hub. */
  readonly role: 'scheduler' | 'agent' | 'ingress';
  readonly index: number;
  /** The streams of an election; by default the run chooses. */
  readonly streams?: readonly string[];
};

export type Scenario = {
  readonly seed: number;
  readonly clusters: readonly ClusterPlan[];
  readonly schedulers: number;
  readonly ingresses: number;
  readonly linkDelayMs: number;
  readonly replicaLagMs: number;
  /** Nodes are wanted and let go in this run, by one scheduler at a time. The agents are there all the time. */
  readonly scales: boolean;
  /** Whoever has ended is settled in this run. */
  readonly settles: boolean;
  readonly asks: readonly Ask[];
  readonly faults: readonly Fault[];
};

/** One run in so many is about the duty that only one scheduler has; such a run takes several times as long. */
const scalingShare = 1 / 20;
/** And one in so many about what requests cost, which takes a tenth longer. */
const settlingShare = 1 / 3;

/** Woken and let go within seconds, so that a short run has many of both. */
export const scalingPolicy: Policy = policy.parse({
  v: 1,
  strategy: 'cost',
  scaling: {
    averageMs: 1_000,
    decayMs: 500,
    coolDownCheapestMs: 1_500,
    coolDownDearestMs: 500,
    failedWakeMs: 3_000,
    nodesMax: { c1: 2, c2: 2, c3: 2 },
  },
});

/** Everything that a seed decides before the run; what it decides during the run comes from the same seed. */
export function scenarioOf(seed: number): Scenario {
  const random = new Random(seed);
  const clusters = Array.from({ length: random.int(2, 3) }, (_, index) => ({
    name: `c${index + 1}`,
    usdPerHour: random.between(0.05, 0.2),
    agents: Array.from({ length: random.chance(0.2) ? 2 : 1 }, () => random.int(1, 2)),
  }));
  const agents = clusters.reduce((sum, { agents }) => sum + agents.length, 0);
  const schedulers = random.chance(0.25) ? 1 : 2;
  const ingresses = random.int(1, 2);
  const asks = Array.from({ length: random.int(1, 4) }, (_, index) => askFrom(random, index + 1));
  // Drawn from elsewhere, so that it changes nothing else.
  const duty = new Random(seed ^ 0xd07);
  const scales = duty.chance(scalingShare);
  const settles = duty.chance(settlingShare);
  const faults = Array.from({ length: random.int(1, 4) }, () =>
    faultFrom(random, { scheduler: schedulers, agent: agents, ingress: ingresses }),
  );
  const scenario = {
    seed,
    clusters,
    schedulers,
    ingresses,
    linkDelayMs: random.pick([0.5, 2, 15, 60]),
    replicaLagMs: random.chance(0.3) ? random.pick([5, 100, 1_000]) : 0,
    scales,
    settles,
    asks,
    faults: new Random(~seed).chance(0.1) ? [] : faults,
  };
  return scales ? scaling(scenario, duty) : scenario;
}

/** Requests that come and go, and leaders that are killed, stand still, or are cut off for longer than their lease. */
export function scaling(scenario: Scenario, random: Random): Scenario {
  return {
    ...scenario,
    scales: true,
    settles: true,
    schedulers: 2,
    asks: scenario.asks.map((ask) => ({
      ...ask,
      atMs: random.between(500, 9_000),
      gapMs: Math.min(ask.gapMs, 150),
      deadlineMs: 600_000,
      poison: false,
    })),
    faults: Array.from({ length: random.int(1, 3) }, () => ({
      kind: random.pick(['kill', 'pause', 'pause', 'cut', 'stall', 'drain', 'election'] as const),
      role: 'scheduler' as const,
      index: random.int(0, 1),
      atMs: random.between(500, 8_000),
      forMs: random.between(1_000, 9_000),
    })).map((fault) => ({ ...fault, forMs: Math.min(fault.forMs, longestMs[fault.kind]) })),
  };
}

function askFrom(random: Random, number: number): Ask {
  const tokens = random.int(4, 12);
  const kind = random.chance(0.8) ? 'tokens' : random.pick(['deltas', 'body'] as const);
  return {
    number,
    atMs: random.between(300, 1_500),
    tokens,
    limit: random.chance(0.2) ? random.int(1, tokens) : tokens + 5,
    gapMs: random.pick([5, 40, 150, 400]),
    kind,
    streamed: kind === 'deltas' || (kind === 'tokens' && random.chance(0.85)),
    sampled: random.chance(0.3),
    poison: random.chance(0.04),
    poisonAfter: random.int(0, 3),
    holdsText: random.chance(0.2),
    deadlineMs: random.chance(0.08) ? random.between(500, 6_000) : 600_000,
    againAfterMs: random.chance(0.1) ? random.between(0, 4_000) : undefined,
    cancelAfterMs: random.chance(0.1) ? random.between(0, 4_000) : undefined,
  };
}

function faultFrom(
  random: Random,
  counts: { readonly scheduler: number; readonly agent: number; readonly ingress: number },
): Fault {
  const atMs = random.between(300, 5_000);
  const kind = random.chance(0.04)
    ? 'hub-restart'
    : random.chance(0.1)
      ? 'election'
      : random.pick(['kill', 'pause', 'cut', 'stall', 'kill', 'cut', 'drain', 'backend-crash'] as const);
  const role =
    kind === 'drain' || kind === 'backend-crash'
      ? 'agent'
      : random.pick(['agent', 'agent', 'agent', 'scheduler', 'scheduler', 'ingress'] as const);
  const forMs = random.chance(0.15) ? random.between(8_000, 25_000) : random.between(50, 5_000);
  return {
    kind,
    atMs,
    forMs: Math.min(forMs, longestMs[kind]),
    role,
    index: random.int(0, counts[role] - 1),
  };
}

const longestMs: Readonly<Record<Fault['kind'], number>> = {
  kill: 10_000,
  pause: 25_000,
  cut: 25_000,
  // The client library and the server both notice after some pings.
  stall: 15_000,
  drain: 3_000,
  'backend-crash': 8_000,
  election: 4_000,
  'hub-restart': 3_000,
};

export const tenant = tenantId.parse('t1');
export const idOf = (ask: Ask) => requestId.parse(`r${ask.number}`);

export function requestOf(ask: Ask, nowMs: number): RequestInput {
  return {
    v: 1,
    id: idOf(ask),
    tenant,
    submittedAtMs: epochMs + nowMs,
    deadlineAtMs: epochMs + ask.atMs + ask.deadlineMs,
    endpoint: 'completion',
    body: {
      model: 'm',
      prompt: `p${ask.number}`,
      stream: ask.streamed,
      max_tokens: ask.limit,
      ...(ask.kind === 'tokens' ? {} : { logprobs: 1 }),
    },
  };
}

/** The request that a prompt belongs to, as text or as ids. */
export function askOf(asks: readonly Ask[], prompt: unknown): Ask | undefined {
  const first: unknown = Array.isArray(prompt) ? prompt[0] : undefined;
  const name = typeof prompt === 'string' ? /^p(\d+)$/.exec(prompt)?.[1] : undefined;
  const number = typeof first === 'number' ? first - promptBase : Number(name);
  return asks.find((ask) => ask.number === number);
}

const promptBase = 900_000_000;

/** The prompt of a request as ids. */
export const promptIds = (ask: Ask): readonly number[] => [promptBase + ask.number, 11, 12];
