import { type PolicyInput, policy as policySchema } from '@drover/schemas';
import { DroverDriver } from './drover.ts';
import {
  EarlierRuleIdealised,
  earlierRule,
  latencyFirst,
  leastQueue,
  PushDriver,
  roundRobin,
  staticCheapest,
} from './push.ts';
import { Controller, PerCluster } from './scalers.ts';
import { decodeAt, prefillContention, type Scenario } from './scenario.ts';
import type { Arrival } from './trace.ts';
import type { Driver } from './world.ts';

export type Contender = {
  readonly id: string;
  readonly name: string;
  readonly kind: 'baseline' | 'ours' | 'ablation' | 'oracle';
  driver(seed: number, arrivals: readonly Arrival[], scenario: Scenario): Driver;
};

/** The policy of the study, as a policy file would say it. Tuned on seeds that the study does not use. */
export const studyPolicy = {
  v: 1,
  strategy: 'cost',
  ttftMaxMs: 9_000,
  reserve: { share: 0.35, standardWaitMs: 5_000, batchWaitMs: 100_000 },
  scaling: { utilisation: 0.75, surplusMargin: 0.15, swapMargin: 0.3, failedWakeMs: 300_000 },
} as const satisfies PolicyInput;

const rulesOf = (policy: PolicyInput) => {
  const { scaling } = policySchema.parse(policy);
  if (!scaling) throw new Error('the policy of the study scales');
  return scaling;
};

/** Drover's own policy with one part changed. */
const ours =
  (change: Omit<Partial<PolicyInput>, 'strategy' | 'order' | 'weights'> = {}) =>
  (seed: number) => {
    const policy: PolicyInput = { ...studyPolicy, ...change };
    return new DroverDriver({ policy, seed, scaler: new Controller(rulesOf(policy)) });
  };

const pushed =
  (chooser: (seed: number) => ConstructorParameters<typeof PushDriver>[0]) =>
  (seed: number): Driver =>
    new PushDriver(chooser(seed), new PerCluster(0));

export const contenders: readonly Contender[] = [
  { id: 'ours', name: 'Drover', kind: 'ours', driver: ours() },
  { id: 'rr', name: 'round robin', kind: 'baseline', driver: pushed(roundRobin) },
  { id: 'lq', name: 'least queue', kind: 'baseline', driver: pushed((seed) => leastQueue(seed)) },
  {
    id: 'lq-wake',
    name: "least queue with Drover's wake and sleep",
    kind: 'baseline',
    driver: (seed) =>
      new PushDriver(leastQueue(seed, { warmOnly: true }), new Controller(rulesOf(studyPolicy))),
  },
  { id: 'static', name: 'static cheapest', kind: 'baseline', driver: pushed(staticCheapest) },
  { id: 'latency', name: 'latency first', kind: 'baseline', driver: pushed(latencyFirst) },
  { id: 'earlier', name: "earlier router's rule (constants)", kind: 'baseline', driver: pushed(earlierRule) },
  {
    id: 'earlier-ideal',
    name: "earlier router's rule (idealised)",
    kind: 'baseline',
    driver: pushed(() => new EarlierRuleIdealised()),
  },
  {
    id: '-wake',
    name: '− wake and sleep',
    kind: 'ablation',
    driver: (seed) => new DroverDriver({ policy: studyPolicy, seed, scaler: new PerCluster(1, 1) }),
  },
  {
    id: '-marginal',
    name: '− marginal cost (share of the node)',
    kind: 'ablation',
    driver: ours({ costBasis: 'share' }),
  },
  {
    id: 'nominal',
    name: '− marginal cost (nominal price)',
    kind: 'ablation',
    driver: ours({ costBasis: 'nominal' }),
  },
  { id: '-affinity', name: '− affinity', kind: 'ablation', driver: ours({ affinity: { enabled: false } }) },
  {
    id: '-late',
    name: '− late binding',
    kind: 'ablation',
    driver: ours({ bufferSlots: 8 }),
  },
  {
    id: '-reserve',
    name: '− reserve for interactive requests',
    kind: 'ablation',
    driver: ours({ reserve: {} }),
  },
  {
    id: '-hysteresis',
    name: '− hysteresis',
    kind: 'ablation',
    driver: ours({ switchMargin: 0, dwellMs: 0 }),
  },
  { id: '-neartie', name: '− near ties to the busier', kind: 'ablation', driver: ours({ nearTie: 0 }) },
  { id: '-residual', name: '− residuals', kind: 'ablation', driver: ours({ residuals: false }) },
  { id: '-long', name: '− long answers', kind: 'ablation', driver: ours({ longAnswers: false }) },
  { id: '-fair', name: '− fairness', kind: 'ablation', driver: ours({ fairness: { enabled: false } }) },
  { id: '-explore', name: '− exploration', kind: 'ablation', driver: ours({ exploration: 0 }) },
  {
    id: 'oracle',
    name: 'clairvoyant greedy',
    kind: 'oracle',
    driver: (seed, arrivals, scenario) =>
      new DroverDriver({
        policy: { ...studyPolicy, exploration: 0 },
        seed,
        oracle: true,
        scaler: new Controller({ ...rulesOf(studyPolicy), ...foresight }, foreseen(arrivals, scenario)),
      }),
  },
];

/** Whoever knows what comes needs no reserve and no memory, and is early by a boot. */
const foresight = {
  utilisation: 1,
  averageMs: 1,
  decayMs: 0,
  backlogShare: 0,
  surplusMargin: 0,
  coolDownCheapestMs: 0,
  coolDownDearestMs: 0,
};
const bootAheadMs = 240_000;
const binMs = 30_000;
/** The most jobs, on the mean of any half minute, from now until a node that is started now would have been worth it. */
function foreseen(arrivals: readonly Arrival[], { clusters }: Scenario): (nowMs: number) => number {
  const bins: number[] = [];
  const usual = clusters.toSorted(
    (a, b) => a.usdPerHour / decodeAt(a, a.slots) - b.usdPerHour / decodeAt(b, b.slots),
  )[0];
  if (!usual) throw new Error('a scenario has clusters');
  // How long a full node of the cheapest cluster holds a slot for a token.
  const msPerOutputToken = (usual.slots * 1_000) / decodeAt(usual, usual.slots);
  const msPerPromptToken = ((1 + prefillContention * (usual.slots - 1)) * 1_000) / usual.prefillTps;
  for (const { atMs, promptTokens, outputTokens } of arrivals) {
    const untilMs = atMs + promptTokens * msPerPromptToken + outputTokens * msPerOutputToken;
    for (let bin = Math.floor(atMs / binMs); bin * binMs < untilMs; bin++) {
      const sharedMs = Math.min(untilMs, (bin + 1) * binMs) - Math.max(atMs, bin * binMs);
      bins[bin] = (bins[bin] ?? 0) + sharedMs / binMs;
    }
  }
  return (nowMs) => {
    const first = Math.floor(nowMs / binMs);
    let most = 0;
    for (let bin = first; bin <= first + bootAheadMs / binMs; bin++) most = Math.max(most, bins[bin] ?? 0);
    return most;
  };
}
