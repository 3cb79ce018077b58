import { Lease, type Logger, type Nats } from '@drover/runtime';
import { type ClusterId, streams, wakeTtlMs } from '@drover/schemas';
import type { Subscription } from 'nats';
import { type BoundWaiting, boundDemand, boundWaiting, type Known } from './core/bound-demand.ts';
import { HeardDemand } from './core/heard-demand.ts';
import { profileOf, withBoot } from './core/profiles.ts';
import { bootPatienceMs, isAdopted, supplyOf } from './core/supplies.ts';
import { decideScaling, noDemand, type ScalingRules, type ScalingState } from './core/wake.ts';
import type { SchedulerMetrics } from './metrics.ts';
import { publishDemand, subscribeDemand } from './nats/demand.ts';
import { storeProfile } from './nats/profiles.ts';
import { readWakes, WakeWriter } from './nats/wakes.ts';
import type { State } from './state.ts';

const everyMs = 1_000;
const leaseSeconds = 5;
/** What is wanted is said again this often: two may be lost before a node is let go. */
const renewMs = wakeTtlMs / 3;
const storeProfilesMs = 30_000;

/**
 * Wakes clusters and lets them go: one scheduler at a time has this duty. It decides nothing itself (core/wake.ts); it says
 * how many nodes are wanted, on `llm.wake.<cluster>.<node>`, and an autoscaler makes it so.
 */
export class Scaler {
  readonly #nats: Nats;
  readonly #log: Logger;
  readonly #metrics: SchedulerMetrics;
  readonly #state: State;
  readonly #lease: Lease;
  readonly #schedulerId: string;
  readonly #heard = new HeardDemand();
  #hearing: Subscription | undefined;
  /** What was said last was that something waits. */
  #hasSaid = false;
  readonly #wakes: WakeWriter;
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<void> = Promise.resolve();
  #busy = false;
  #scaling: ScalingState = noDemand;
  /** The token under which LLM_WAKE was read; another one reads it again. */
  #readAs: number | undefined;
  #renewedAtMs = 0;
  /** When each profile was measured that is in the bucket. */
  readonly #storedAtMs = new Map<ClusterId, number>();
  readonly #failedAtMs = new Map<ClusterId, number>();
  readonly #releasedAtMs = new Map<ClusterId, number>();
  readonly #pending = new Map<string, { cluster: ClusterId; node: number }>();

  constructor(parts: {
    nats: Nats;
    log: Logger;
    metrics: SchedulerMetrics;
    state: State;
    schedulerId: string;
  }) {
    this.#nats = parts.nats;
    this.#log = parts.log;
    this.#metrics = parts.metrics;
    this.#state = parts.state;
    this.#schedulerId = parts.schedulerId;
    this.#wakes = new WakeWriter(parts.nats);
    this.#lease = new Lease({
      nats: parts.nats,
      log: parts.log,
      duty: 'scaling',
      holder: parts.schedulerId,
      ttlSeconds: leaseSeconds,
    });
  }

  start(): void {
    this.#hearing = subscribeDemand(
      this.#nats,
      (heard) => {
        if (heard.scheduler !== this.#schedulerId) this.#heard.hear(heard, Date.now());
      },
      this.#log,
    );
    this.#lease.start();
    this.#timer = setInterval(() => this.#soon(), everyMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#hearing?.unsubscribe();
    await this.#turn;
    await this.#lease.stop();
  }

  #soon(): void {
    if (this.#busy) return;
    this.#busy = true;
    this.#turn = this.#look()
      .catch((error) => this.#log.warn({ error: String(error) }, 'scaling not settled'))
      .finally(() => {
        this.#busy = false;
      });
  }

  async #look(): Promise<void> {
    const { token } = this.#lease;
    this.#metrics.scalingLeader.set(token === null ? 0 : 1);
    if (token === null) {
      this.#sayDemand(Date.now());
      return;
    }
    if (this.#readAs !== token) await this.#takeOver(token);
    const nowMs = Date.now();
    await this.#learn(nowMs);
    await this.#adopt(token, nowMs);
    await this.#letPausedGo(token, nowMs);
    await this.#renew(token, nowMs);
    const { scaling } = this.#state.policy.value;
    if (scaling) await this.#scale(scaling, token, nowMs);
    this.#show(nowMs);
  }

  /** What the leader before has wanted still is. */
  async #takeOver(token: number): Promise<void> {
    const wakes = await readWakes(this.#nats);
    const nowMs = Date.now();
    this.#state.wanted.clear();
    this.#pending.clear();
    for (const wake of wakes) this.#state.wanted.hear(wake, nowMs);
    this.#scaling = noDemand;
    this.#renewedAtMs = 0;
    this.#readAs = token;
  }

  /** Remembers what the nodes show, and how long those took that have just become ready. */
  async #learn(nowMs: number): Promise<void> {
    const state = this.#state;
    for (const cluster of state.clusters()) {
      const view = state.view(cluster, nowMs);
      const known = state.profiles.get(cluster);
      const shown = profileOf(cluster, view, known, nowMs);
      if (!shown) continue;
      const bootsMs = this.#justBooted(cluster, view.nodes, nowMs);
      const profile = bootsMs.reduce(withBoot, shown);
      state.profiles.set(cluster, profile);
      const storedMs = this.#storedAtMs.get(cluster) ?? Number.NEGATIVE_INFINITY;
      // What was measured last counts while the cluster is at zero, and it may go there a second after it was measured.
      const isLast = view.nodes === 0 && profile.measuredAtMs > storedMs;
      if (known && bootsMs.length === 0 && !isLast && nowMs - storedMs < storeProfilesMs) continue;
      await storeProfile(this.#nats, profile);
      this.#storedAtMs.set(cluster, profile.measuredAtMs);
    }
  }

  /** How long each wanted node of a cluster took that is ready now and was not before, in ms. */
  #justBooted(cluster: ClusterId, nodes: number, nowMs: number): number[] {
    const booted = [...this.#pending].filter(
      ([, pending]) => pending.cluster === cluster && pending.node <= nodes,
    );
    return booted.flatMap(([key, { node }]) => {
      this.#pending.delete(key);
      const sinceMs = this.#state.wanted.sinceMs(cluster, node);
      if (sinceMs === undefined) return [];
      const bootMs = nowMs - sinceMs;
      this.#metrics.bootSeconds.observe({ cluster }, bootMs / 1_000);
      this.#log.info({ cluster, node, bootMs }, 'node is there');
      return [bootMs];
    });
  }

  async #adopt(token: number, nowMs: number): Promise<void> {
    for (const cluster of this.#state.nodeClusters()) {
      if (this.#state.isPaused(cluster)) continue;
      const { nodes } = this.#state.view(cluster, nowMs);
      const wanted = this.#wanted(cluster, nowMs);
      if (!isAdopted(nodes, wanted, this.#releasedAtMs.get(cluster), nowMs)) continue;
      for (let node = wanted + 1; node <= nodes; node++) await this.#want(cluster, node, nowMs, token);
    }
  }

  /** Nodes of a cluster that an operator has paused, once nothing runs there; also while the policy scales nothing. */
  async #letPausedGo(token: number, nowMs: number): Promise<void> {
    for (const cluster of this.#state.clusters()) {
      if (!this.#state.isPaused(cluster) || this.#state.ledger.load(cluster) > 0) continue;
      for (const node of this.#state.wanted.nodes(cluster, nowMs))
        await this.#release(cluster, 'paused', token, nowMs, node);
    }
  }

  /** Also while the policy scales nothing: what runs then shall go on. */
  async #renew(token: number, nowMs: number): Promise<void> {
    if (nowMs - this.#renewedAtMs < renewMs) return;
    this.#renewedAtMs = nowMs;
    for (const cluster of this.#state.clusters())
      for (const node of this.#state.wanted.nodes(cluster, nowMs))
        await this.#want(cluster, node, this.#state.wanted.sinceMs(cluster, node) ?? nowMs, token);
  }

  async #scale(rules: ScalingRules, token: number, nowMs: number): Promise<void> {
    const state = this.#state;
    await this.#giveUpLate(token, nowMs);
    const known = this.#known(nowMs);
    const supplies = known.map(({ cluster, ...one }) =>
      supplyOf(
        { ...one, wanted: this.#wanted(cluster, nowMs), failedWakeAtMs: this.#failedAtMs.get(cluster) },
        rules,
      ),
    );
    const bound = boundDemand([...this.#held(known, nowMs), ...this.#heard.waiting(nowMs)], known);
    const jobs = state.jobsForNodes() + (await this.#waiting());
    const { state: next, wake, release } = decideScaling(this.#scaling, supplies, jobs, rules, nowMs, bound);
    this.#scaling = next;
    this.#metrics.demandSlots.set(next.demand);
    for (const cluster of wake) await this.#wake(cluster, jobs, token, nowMs);
    for (const cluster of release) await this.#release(cluster, 'not needed', token, nowMs);
  }

  /** Tells the leader what this scheduler holds that only some clusters could take: the leader cannot look into its queue. */
  #sayDemand(nowMs: number): void {
    const bound = this.#state.policy.value.scaling ? this.#held(this.#known(nowMs), nowMs) : [];
    if (bound.length > 0 || this.#hasSaid)
      publishDemand(this.#nats, { v: 1, scheduler: this.#schedulerId, bound });
    this.#hasSaid = bound.length > 0;
  }

  #known(nowMs: number) {
    const state = this.#state;
    return state.nodeClusters().map((cluster) => ({
      cluster,
      candidate: state.candidate(state.view(cluster, nowMs), nowMs),
      profile: state.profiles.get(cluster),
    }));
  }

  /** What waits here and only some of the clusters could take. */
  #held(known: readonly Known[], nowMs: number): BoundWaiting[] {
    const state = this.#state;
    const wanting = [...state.queue.all()].map((waiting) => ({
      ask: state.ask(waiting),
      ...(waiting.previous ? { hasJobAt: waiting.previous.cluster } : {}),
    }));
    const elsewhere = state.providersBesideNodes().map((id) => state.candidate(state.view(id, nowMs), nowMs));
    return boundWaiting(wanting, known, elsewhere, state.policy.value, nowMs);
  }

  async #wake(cluster: ClusterId, jobs: number, token: number, nowMs: number): Promise<void> {
    const node = this.#wanted(cluster, nowMs) + 1;
    if (!(await this.#want(cluster, node, nowMs, token))) return;
    this.#pending.set(`${cluster} ${node}`, { cluster, node });
    this.#metrics.wakes.inc({ cluster });
    this.#log.info({ cluster, node, jobs, demand: this.#scaling.demand }, 'waking a node');
  }

  async #release(
    cluster: ClusterId,
    why: string,
    token: number,
    nowMs: number,
    node = this.#wanted(cluster, nowMs),
  ): Promise<void> {
    if (node === 0) return;
    if (!(await this.#wakes.remove(cluster, node, token, nowMs))) return;
    this.#state.wanted.forget(cluster, node);
    this.#pending.delete(`${cluster} ${node}`);
    this.#releasedAtMs.set(cluster, nowMs);
    this.#metrics.releases.inc({ cluster });
    this.#log.info({ cluster, node, why }, 'letting a node go');
  }

  /** A node that does not come is not waited for, and its cluster is left alone for a while. */
  async #giveUpLate(token: number, nowMs: number): Promise<void> {
    for (const { cluster, node } of [...this.#pending.values()]) {
      const sinceMs = this.#state.wanted.sinceMs(cluster, node) ?? nowMs;
      if (nowMs - sinceMs <= bootPatienceMs(this.#state.profiles.get(cluster))) continue;
      this.#failedAtMs.set(cluster, nowMs);
      this.#metrics.wakesFailed.inc({ cluster });
      await this.#release(cluster, 'it did not start', token, nowMs);
    }
  }

  async #want(cluster: ClusterId, node: number, sinceMs: number, token: number): Promise<boolean> {
    const wake = { v: 1, cluster, node, sinceMs } as const;
    if (!(await this.#wakes.write(wake, token))) return false;
    this.#state.wanted.hear(wake, Date.now());
    return true;
  }

  #wanted(cluster: ClusterId, nowMs: number): number {
    return this.#state.wanted.nodes(cluster, nowMs).length;
  }

  /** Requests of all schedulers that no cluster has been chosen for. */
  async #waiting(): Promise<number> {
    return (await this.#nats.jsm.streams.info(streams.requests.name)).state.messages;
  }

  #show(nowMs: number): void {
    for (const cluster of this.#state.clusters())
      this.#metrics.nodesWanted.set({ cluster }, this.#wanted(cluster, nowMs));
  }
}
