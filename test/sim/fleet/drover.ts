import {
  type AgentId,
  agentId,
  type ClusterId,
  type PolicyInput,
  policy as policySchema,
  type Report,
  type RequestId,
  request as requestSchema,
} from '@drover/schemas';
import { expectationOf } from '../../../apps/scheduler/src/core/expectation.ts';
import type { Assignment } from '../../../apps/scheduler/src/core/ledger.ts';
import type { Decision, TokenEstimate, Waiting } from '../../../apps/scheduler/src/core/types.ts';
import { Planner } from '../../../apps/scheduler/src/planner.ts';
import { State } from '../../../apps/scheduler/src/state.ts';
import type { Live, NodeMeter, SimCluster, SimNode } from './node.ts';
import { randomOf } from './random.ts';
import { nameOf, ratesOf, tariffOf } from './rates.ts';
import { Controller, type Scaler } from './scalers.ts';
import type { Arrival } from './trace.ts';
import type { Driver, Ended, World } from './world.ts';

const reportEveryMs = 2_000;
const defaultScaleEveryMs = 5_000;
const modelName = 'm1';
const tokensPerLink = 64;

export type DroverOptions = {
  readonly policy: PolicyInput;
  readonly scaler: Scaler;
  readonly seed: number;
  /** Knows the length of each answer beforehand. */
  readonly oracle?: boolean;
  readonly scaleEveryMs?: number;
  /** What agents measure of their nodes; absent: they know the true rates. */
  readonly meters?: NodeMeters;
  readonly onAssigned?: (live: Live, decision: Extract<Decision, { kind: 'assign' }>) => void;
};

/** Measures each node as its agent would. */
export type NodeMeters = {
  of(nodeId: string): NodeMeter;
  rates(nodeId: string): Report['rates'];
};

class OracleState extends State {
  readonly truth = new Map<RequestId, number>();

  override estimate(waiting: Waiting): TokenEstimate {
    const outputTokens = this.truth.get(waiting.id);
    if (outputTokens === undefined) return super.estimate(waiting);
    const { promptTokens } = waiting;
    return { promptTokens, outputTokens, outputTokensHigh: outputTokens, outputBasis: 'learned' };
  }
}

/**
 * The scheduler's own state, planner and decision in a simulated world: what its shell would hear from NATS it hears from
 * the simulation, and what the shell would publish is done there.
 */
export class DroverDriver implements Driver {
  readonly everyMs = 1_000;
  readonly #state: State;
  readonly #truth: Map<RequestId, number> | undefined;
  readonly #planner: Planner;
  readonly #scaler: Scaler;
  readonly #lives = new Map<RequestId, Live>();
  readonly #agents = new Map<string, AgentId>();
  readonly #clusters = new Map<ClusterId, SimCluster>();
  readonly #refused: Live[] = [];
  #world: World | undefined;
  #planning = false;
  #reports = 0;
  /** |actual − predicted| ÷ actual of the time of each answer. */
  readonly errors: number[] = [];
  /** When an answer of the true length was to be there. */
  readonly #promisedAtMs = new Map<RequestId, { fromMs: number; toMs: number }>();

  readonly #scaleEveryMs: number;
  readonly #meters: NodeMeters | undefined;
  readonly #onAssigned: DroverOptions['onAssigned'];

  constructor(options: DroverOptions) {
    const { policy, scaler, seed, oracle, scaleEveryMs, meters, onAssigned } = options;
    this.#scaleEveryMs = scaleEveryMs ?? defaultScaleEveryMs;
    this.#meters = meters;
    this.#onAssigned = onAssigned;
    if (oracle) {
      const state = new OracleState();
      this.#state = state;
      this.#truth = state.truth;
    } else {
      this.#state = new State();
    }
    this.#scaler = scaler;
    this.#state.setPolicy({ value: policySchema.parse(policy), revision: 1 });
    const random = randomOf(seed, 'scheduler');
    this.#planner = new Planner(
      this.#state,
      {
        assign: (waiting, decision, nowMs) => this.#assign(waiting, decision, nowMs),
        refuse: (waiting) => {
          this.#state.queue.remove(waiting.id);
          this.#refused.push(this.#live(waiting.id));
        },
      },
      { random: () => random.uniform(), onDecided: () => {} },
    );
  }

  meterOf(nodeId: string): NodeMeter {
    return this.#meters?.of(nodeId) ?? (() => {});
  }

  onArrival(live: Live, world: World): void {
    const waiting = waitingOf(live.arrival, live.arrival.promptTokens, world.nowMs);
    this.#truth?.set(waiting.id, live.arrival.outputTokens);
    this.#lives.set(waiting.id, live);
    this.#state.queue.add(waiting);
    this.#planner.screen(waiting, world.nowMs);
    this.#plan(world);
  }

  onEnded(live: Live, ended: Ended, world: World): void {
    const { id } = waitingOf(live.arrival, 0, world.nowMs);
    const { queue, ledger } = this.#state;
    queue.remove(id);
    this.#lives.delete(id);
    const assignment = ledger.ended(id, world.nowMs);
    if (ended.outcome === 'done' && assignment) this.#learn(live, ended, assignment, world.nowMs);
    this.#promisedAtMs.delete(id);
    this.#plan(world);
  }

  #learn({ arrival, attempts }: Live, ended: Ended, assignment: Assignment, nowMs: number): void {
    const usage = {
      promptTokens: arrival.promptTokens,
      completionTokens: ended.deliveredTokens,
      cachedTokens: ended.cachedTokens,
    };
    const outcome = { status: 'done', finish: 'stop', units: usage.completionTokens, usage } as const;
    this.#state.learnFrom(outcome, assignment.cluster, assignment, nowMs);
    if (this.#scaler instanceof Controller) this.#scaler.learn(usage.promptTokens, usage.completionTokens);
    const promised = this.#promisedAtMs.get(assignment.id);
    // The rest of an answer that moved was promised for a part of its length only.
    if (promised && attempts === 1)
      this.errors.push(Math.abs(nowMs - promised.toMs) / (nowMs - promised.fromMs));
  }

  #assign(waiting: Waiting, decision: Extract<Decision, { kind: 'assign' }>, nowMs: number): void {
    const live = this.#live(waiting.id);
    const { queue, ledger } = this.#state;
    const { cluster, chosen } = decision;
    const { id, request } = waiting;
    queue.remove(id);
    ledger.reserve({
      id,
      tenant: request.tenant,
      cluster,
      attempt: live.attempts + 1,
      sinceMs: nowMs,
      endpoint: request.endpoint,
      expected: expectationOf(decision, this.#state.estimate(waiting), nowMs),
    });
    ledger.confirm(id, nowMs);
    const { ttftMs, tpotMs } = chosen.prediction;
    this.#promisedAtMs.set(id, { fromMs: nowMs, toMs: nowMs + ttftMs + tpotMs * live.arrival.outputTokens });
    this.#onAssigned?.(live, decision);
    this.#here().send(live, this.#cluster(cluster));
  }

  /** The answer goes on from the last token: what was said belongs to the prompt now. */
  onLost(live: Live, world: World): void {
    const waiting = waitingOf(live.arrival, live.arrival.promptTokens + live.delivered, world.nowMs);
    this.#state.ledger.forget(waiting.id);
    this.#state.queue.add(waiting);
    this.#plan(world);
  }

  onNodes(world: World): void {
    this.#report(world);
    this.#plan(world);
  }

  onPrices(world: World): void {
    for (const cluster of world.clusters)
      this.#state.setTariff(nameOf(cluster.spec), tariffOf(cluster.spec, world.price(cluster)));
  }

  onTick(world: World): void {
    const { nowMs } = world;
    if (nowMs % reportEveryMs === 0) {
      this.#report(world);
      this.#state.forgetGoneAgents(nowMs);
      this.#state.payNodes(nowMs);
      this.#recall(world);
      this.#plan(world);
    }
    if (nowMs % this.#scaleEveryMs === 0) this.#scaler.tick(world);
  }

  #plan(world: World): void {
    this.#world = world;
    if (this.#planning) return;
    this.#planning = true;
    this.#planner.pass(world.nowMs);
    this.#planning = false;
    for (const live of this.#refused.splice(0)) world.refuse(live);
  }

  /** What was sent to a place that turned out not to be there comes back, as the scheduler's recall does it. */
  #recall(world: World): void {
    if (this.#state.policy.value.bufferSlots > 0) return;
    for (const cluster of world.clusters)
      for (const live of [...cluster.queue]) {
        const waiting = waitingOf(live.arrival, live.arrival.promptTokens + live.delivered, world.nowMs);
        world.recall(live);
        this.#state.ledger.forget(waiting.id);
        this.#state.queue.add(waiting);
      }
  }

  #report(world: World): void {
    this.#world = world;
    for (const cluster of world.clusters) {
      this.#clusters.set(nameOf(cluster.spec), cluster);
      for (const node of cluster.nodes)
        if (node.phase !== 'gone') this.#state.hearReport(this.#reportOf(node, world.nowMs), world.nowMs);
    }
  }

  #reportOf(node: SimNode, nowMs: number): Report {
    const { spec } = node.cluster;
    const agent = this.#agents.get(node.id) ?? agentId.parse(node.id);
    this.#agents.set(node.id, agent);
    return {
      v: 1,
      cluster: nameOf(spec),
      agent,
      seq: this.#reports++,
      startedAtMs: node.startedAtMs,
      sentAtMs: nowMs,
      phase: node.phase === 'gone' ? 'down' : node.phase,
      model: { name: modelName, hash: 'h1', contextTokens: 2_048, endpoints: ['chat'] },
      slots: spec.slots,
      inFlight: [],
      rates: this.#meters ? this.#meters.rates(node.id) : ratesOf(spec),
      bootMs: spec.bootMs,
    };
  }

  #live(id: RequestId): Live {
    const live = this.#lives.get(id);
    if (!live) throw new Error(`no request ${id}`);
    return live;
  }

  #cluster(name: ClusterId): SimCluster {
    const cluster = this.#clusters.get(name);
    if (!cluster) throw new Error(`no cluster ${name}`);
    return cluster;
  }

  #here(): World {
    if (!this.#world) throw new Error('nothing has happened yet');
    return this.#world;
  }
}

function waitingOf(arrival: Arrival, promptTokens: number, nowMs: number): Waiting {
  const request = requestSchema.parse({
    v: 1,
    id: arrival.id,
    tenant: arrival.tenant,
    priority: arrival.priority,
    submittedAtMs: arrival.atMs,
    deadlineAtMs: arrival.deadlineAtMs,
    endpoint: 'chat',
    body: {
      model: modelName,
      messages: [{ role: 'user', content: '' }],
      ...(arrival.maxTokens === undefined ? {} : { max_tokens: arrival.maxTokens }),
    },
  });
  const links = Math.floor(arrival.promptTokens / tokensPerLink);
  return {
    id: request.id,
    request,
    model: modelName,
    promptTokens,
    prefix: Array.from({ length: links }, (_, index) => `${arrival.session}:${index}`),
    arrivedAtMs: nowMs,
  };
}
