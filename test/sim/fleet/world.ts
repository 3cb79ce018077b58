import { type Bill, billOf } from './bill.ts';
import { Agenda } from './heap.ts';
import {
  apply,
  begin,
  deliveredBy,
  type Job,
  type Live,
  type NodeMeter,
  remember,
  type Sharing,
  type SimCluster,
  type SimNode,
  untilNextMs,
} from './node.ts';
import { randomOf } from './random.ts';
import { priceStepMs, pricesOf, type Scenario } from './scenario.ts';
import type { Arrival } from './trace.ts';

/** A node that is gone is noticed after this long, by the silence of its agent or a connection that breaks. */
const noticeMs = 3_000;

/** How one request ended: each does, once. */
export type Ended = {
  readonly arrival: Arrival;
  readonly outcome: 'done' | 'late' | 'refused';
  readonly atMs: number;
  readonly cluster: string | undefined;
  readonly ttftMs: number | undefined;
  readonly tpotMs: number | undefined;
  readonly deliveredTokens: number;
  readonly cachedTokens: number;
  readonly attempts: number;
};

/** What is to be compared: it decides where requests go and how many nodes there are. */
export type Driver = {
  readonly everyMs: number;
  onArrival(live: Live, world: World): void;
  onEnded(live: Live, ended: Ended, world: World): void;
  /** Its node is gone; it has to go somewhere again. */
  onLost(live: Live, world: World): void;
  onNodes(world: World): void;
  onTick(world: World): void;
  onPrices(world: World): void;
  /** Who listens to what a new node does; absent: nobody. */
  meterOf?(nodeId: string): NodeMeter;
};

type Happening =
  | { kind: 'arrival'; arrival: Arrival }
  | { kind: 'node'; node: SimNode; version: number }
  | { kind: 'ready'; node: SimNode }
  | { kind: 'preempt'; node: SimNode }
  | { kind: 'lost'; live: Live }
  | { kind: 'deadline'; live: Live }
  | { kind: 'outage'; cluster: SimCluster }
  | { kind: 'prices' }
  | { kind: 'tick' };

export type Run = {
  readonly ended: readonly Ended[];
  readonly bills: readonly Bill[];
  /** Nodes that were started, and those of them that were their cluster's first. */
  readonly boots: number;
  readonly wakes: number;
  /** The most jobs that any node ever had beyond its slots: 0, or the simulator is wrong. */
  readonly overfull: number;
  readonly endMs: number;
  /** The nodes that were ready and the jobs there, every minute, for plots. */
  readonly series: readonly { atMs: number; nodes: readonly number[]; busySlots: number; waiting: number }[];
};

/** A discrete-event simulation of a fleet. Its clock moves from happening to happening; nothing else is a clock. */
export class World {
  readonly clusters: readonly SimCluster[];
  readonly scenario: Scenario;
  readonly #agenda = new Agenda<Happening>();
  readonly #driver: Driver;
  readonly #seed: number;
  readonly #endMs: number;
  readonly #ended: Ended[] = [];
  readonly #series: { atMs: number; nodes: number[]; busySlots: number; waiting: number }[] = [];
  readonly waiting = new Set<Live>();
  readonly #sharing: Sharing | undefined;
  nowMs = 0;
  #overfull = 0;

  constructor(
    scenario: Scenario,
    day: { arrivals: readonly Arrival[]; endMs: number },
    driver: Driver,
    seed: number,
  ) {
    this.scenario = scenario;
    this.#driver = driver;
    this.#seed = seed;
    this.#endMs = day.endMs;
    const sharing = scenario.machine && { machine: scenario.machine, busyNodes: 0 };
    this.#sharing = sharing;
    this.clusters = scenario.clusters.map((spec) => ({
      spec,
      ...(sharing ? { sharing } : {}),
      prices: pricesOf(spec, day.endMs, seed),
      nodes: [],
      queue: [],
      past: [],
      boots: 0,
      wakes: 0,
      tokens: 0,
      failedWakeAtMs: undefined,
    }));
    for (const arrival of day.arrivals) this.#agenda.plan(arrival.atMs, { kind: 'arrival', arrival });
    for (let atMs = 0; atMs < day.endMs; atMs += priceStepMs) this.#agenda.plan(atMs, { kind: 'prices' });
    for (let atMs = 0; atMs < day.endMs; atMs += driver.everyMs) this.#agenda.plan(atMs, { kind: 'tick' });
    for (const { cluster, fromMs } of scenario.outages)
      for (const one of this.clusters)
        if (one.spec.name === cluster) this.#agenda.plan(fromMs, { kind: 'outage', cluster: one });
  }

  run(): Run {
    for (let next = this.#agenda.next(); next && next.atMs <= this.#endMs; next = this.#agenda.next()) {
      this.nowMs = next.atMs;
      this.#happen(next.value);
    }
    this.nowMs = this.#endMs;
    for (const cluster of this.clusters) for (const node of [...cluster.nodes]) this.#remove(node);
    return {
      ended: this.#ended,
      bills: this.clusters.map((cluster) => billOf(cluster, this.#endMs)),
      boots: this.clusters.reduce((sum, { boots }) => sum + boots, 0),
      wakes: this.clusters.reduce((sum, { wakes }) => sum + wakes, 0),
      overfull: this.#overfull,
      endMs: this.#endMs,
      series: this.#series,
    };
  }

  #happen(happening: Happening): void {
    switch (happening.kind) {
      case 'arrival':
        this.#arrive(happening.arrival);
        break;
      case 'node':
        if (happening.version === happening.node.version) this.#progress(happening.node);
        break;
      case 'ready':
        this.#ready(happening.node);
        break;
      case 'preempt':
        if (happening.node.phase !== 'gone') this.#lose(happening.node);
        break;
      case 'lost':
        this.#noticeLoss(happening.live);
        break;
      case 'deadline':
        if (happening.live.state !== 'ended') this.#giveUp(happening.live, 'late');
        break;
      case 'outage':
        for (const node of [...happening.cluster.nodes]) this.#lose(node);
        break;
      case 'prices':
        this.#driver.onPrices(this);
        break;
      case 'tick':
        if (this.nowMs % 60_000 === 0) this.#note();
        this.#driver.onTick(this);
        break;
      default:
        happening satisfies never;
    }
  }

  // What drivers ask and do

  price({ prices }: SimCluster): number {
    return prices[Math.floor(this.nowMs / priceStepMs)] ?? 0;
  }

  isOut({ spec }: SimCluster, atMs = this.nowMs): boolean {
    return this.scenario.outages.some(
      ({ cluster, fromMs, toMs }) => cluster === spec.name && atMs >= fromMs && atMs < toMs,
    );
  }

  ready(cluster: SimCluster): SimNode[] {
    return cluster.nodes.filter(({ phase }) => phase === 'ready');
  }

  inFlight(cluster: SimCluster): number {
    return cluster.nodes.reduce((sum, { jobs }) => sum + jobs.length, 0);
  }

  freeSlots(cluster: SimCluster): number {
    return this.ready(cluster).reduce((sum, { jobs }) => sum + cluster.spec.slots - jobs.length, 0);
  }

  /** Sends a request to a cluster, where it takes a slot or queues for one. */
  send(live: Live, cluster: SimCluster): void {
    this.waiting.delete(live);
    live.cluster = cluster;
    live.attempts++;
    live.state = 'queued';
    cluster.queue.push(live);
    this.#fill(cluster);
  }

  /** Takes a request back that has no slot at its cluster yet. */
  recall(live: Live): void {
    const { cluster } = live;
    if (live.state !== 'queued' || !cluster) return;
    cluster.queue.splice(cluster.queue.indexOf(live), 1);
    live.state = 'waiting';
    live.cluster = undefined;
    this.waiting.add(live);
  }

  refuse(live: Live): void {
    this.#giveUp(live, 'refused');
  }

  boot(cluster: SimCluster): void {
    if (cluster.nodes.length >= cluster.spec.nodesMax) return;
    if (cluster.nodes.length === 0) cluster.wakes++;
    const serial = cluster.boots++;
    const random = randomOf(this.#seed, `node ${cluster.spec.name} ${serial}`);
    const id = `${cluster.spec.name}-${serial}`;
    const meter = this.#driver.meterOf?.(id);
    const node: SimNode = {
      id,
      cluster,
      startedAtMs: this.nowMs,
      phase: 'booting',
      readyAtMs: this.nowMs + cluster.spec.bootMs,
      goneAtMs: undefined,
      jobs: [],
      appliedAtMs: this.nowMs,
      version: 0,
      busyMs: 0,
      ...(meter ? { meter } : {}),
      cache: new Map(),
    };
    cluster.nodes.push(node);
    cluster.past.push(node);
    this.#agenda.plan(node.readyAtMs, { kind: 'ready', node });
    const { preemptPerHour } = cluster.spec;
    if (preemptPerHour > 0)
      this.#agenda.plan(node.readyAtMs + random.exponential(3_600_000 / preemptPerHour), {
        kind: 'preempt',
        node,
      });
  }

  /** Lets the node with the fewest jobs go, after what it runs. */
  release(cluster: SimCluster): void {
    const [node] = this.ready(cluster).sort((a, b) => a.jobs.length - b.jobs.length);
    if (!node) return;
    node.phase = 'draining';
    if (node.jobs.length === 0) this.#remove(node);
    this.#driver.onNodes(this);
  }

  // What happens

  #arrive(arrival: Arrival): void {
    const live: Live = {
      arrival,
      delivered: 0,
      firstTokenAtMs: undefined,
      attempts: 0,
      cachedTokens: 0,
      state: 'waiting',
      cluster: undefined,
      node: undefined,
    };
    this.waiting.add(live);
    this.#agenda.plan(arrival.deadlineAtMs, { kind: 'deadline', live });
    this.#driver.onArrival(live, this);
  }

  #ready(node: SimNode): void {
    if (node.phase !== 'booting') return;
    if (this.isOut(node.cluster)) {
      node.cluster.failedWakeAtMs = this.nowMs;
      this.#remove(node);
      return;
    }
    node.phase = 'ready';
    node.appliedAtMs = this.nowMs;
    this.#fill(node.cluster);
    this.#driver.onNodes(this);
  }

  /** Gives the free slots of a cluster to those that queue there; the emptiest node pulls first, as agents do. */
  #fill(cluster: SimCluster): void {
    while (cluster.queue.length > 0) {
      const [node] = this.ready(cluster)
        .filter(({ jobs }) => jobs.length < cluster.spec.slots)
        .sort((a, b) => a.jobs.length - b.jobs.length);
      const live = node && cluster.queue.shift();
      if (!node || !live) return;
      this.#begin(node, live);
    }
  }

  #begin(node: SimNode, live: Live): void {
    apply(node, this.nowMs);
    begin(node, live);
    this.#overfull = Math.max(this.#overfull, node.jobs.length - node.cluster.spec.slots);
    this.#replan(node);
  }

  #replan(node: SimNode): void {
    this.#shareMachine();
    this.#plan(node);
  }

  /** When the number of busy nodes of a shared machine has changed, all of them are slower or faster from now on. */
  #shareMachine(): void {
    if (!this.#sharing) return;
    const nodes = this.clusters.flatMap((cluster) => cluster.nodes);
    const busyNodes = nodes.filter(({ jobs }) => jobs.length > 0).length;
    if (busyNodes === this.#sharing.busyNodes) return;
    for (const node of nodes) apply(node, this.nowMs);
    this.#sharing.busyNodes = busyNodes;
    for (const node of nodes) this.#plan(node);
  }

  #plan(node: SimNode): void {
    node.version++;
    const nextMs = untilNextMs(node);
    if (nextMs !== Number.POSITIVE_INFINITY)
      this.#agenda.plan(this.nowMs + nextMs, { kind: 'node', node, version: node.version });
  }

  #progress(node: SimNode): void {
    apply(node, this.nowMs);
    for (const job of [...node.jobs])
      if (job.aroundLeftMs === 0 && job.prefillLeft === 0 && job.outputLeft === 0) this.#finish(node, job);
    this.#replan(node);
    this.#settleNode(node);
  }

  #finish(node: SimNode, job: Job): void {
    const { live } = job;
    const { arrival } = live;
    node.jobs.splice(node.jobs.indexOf(job), 1);
    remember(node, arrival.session, arrival.promptTokens + arrival.outputTokens);
    node.cluster.tokens += arrival.outputTokens - live.delivered;
    live.delivered = arrival.outputTokens;
    this.#end(live, 'done');
  }

  /** The client stops waiting: at its deadline, or because it was refused. */
  #giveUp(live: Live, outcome: 'late' | 'refused'): void {
    const { node, cluster } = live;
    this.waiting.delete(live);
    if (cluster?.queue.includes(live)) cluster.queue.splice(cluster.queue.indexOf(live), 1);
    const job = node?.jobs.find((one) => one.live === live);
    if (node && job) {
      apply(node, this.nowMs);
      node.jobs.splice(node.jobs.indexOf(job), 1);
      live.delivered = deliveredBy(job);
      this.#end(live, outcome);
      this.#replan(node);
      this.#settleNode(node);
    } else {
      this.#end(live, outcome);
    }
  }

  #end(live: Live, outcome: Ended['outcome']): void {
    const { arrival, firstTokenAtMs, delivered } = live;
    live.state = 'ended';
    const ended: Ended = {
      arrival,
      outcome,
      atMs: this.nowMs,
      cluster: live.cluster?.spec.name,
      ttftMs: firstTokenAtMs === undefined ? undefined : firstTokenAtMs - arrival.atMs,
      tpotMs:
        firstTokenAtMs === undefined || delivered === 0
          ? undefined
          : (this.nowMs - firstTokenAtMs) / delivered,
      deliveredTokens: outcome === 'done' ? arrival.outputTokens : 0,
      cachedTokens: live.cachedTokens,
      attempts: live.attempts,
    };
    this.#ended.push(ended);
    this.#driver.onEnded(live, ended, this);
  }

  #settleNode(node: SimNode): void {
    if (node.phase === 'draining' && node.jobs.length === 0) this.#remove(node);
    this.#fill(node.cluster);
  }

  /** The node is taken away with all that it runs; that is noticed a little later. */
  #lose(node: SimNode): void {
    apply(node, this.nowMs);
    for (const job of node.jobs.splice(0)) {
      const { live } = job;
      live.delivered = deliveredBy(job);
      node.cluster.tokens += live.delivered;
      live.state = 'waiting';
      live.node = undefined;
      this.#agenda.plan(this.nowMs + noticeMs, { kind: 'lost', live });
    }
    if (node.phase === 'booting') node.cluster.failedWakeAtMs = this.nowMs;
    this.#remove(node);
    this.#driver.onNodes(this);
  }

  #noticeLoss(live: Live): void {
    if (live.state !== 'waiting') return;
    this.waiting.add(live);
    this.#driver.onLost(live, this);
  }

  #remove(node: SimNode): void {
    apply(node, this.nowMs);
    node.phase = 'gone';
    node.version++;
    node.goneAtMs = this.nowMs;
    const { nodes } = node.cluster;
    if (nodes.includes(node)) nodes.splice(nodes.indexOf(node), 1);
    this.#shareMachine();
  }

  #note(): void {
    this.#series.push({
      atMs: this.nowMs,
      nodes: this.clusters.map(({ nodes }) => nodes.length),
      busySlots: this.clusters.reduce((sum, cluster) => sum + this.inFlight(cluster), 0),
      waiting: this.waiting.size + this.clusters.reduce((sum, { queue }) => sum + queue.length, 0),
    });
  }
}
