import {
  type Catalogue,
  type ClusterId,
  type Cordon,
  type Experiment,
  type Outcome,
  type Profile,
  policy as policySchema,
  type Report,
  type Tariff,
  type TenantId,
  type Usage,
} from '@drover/schemas';
import { noTurns, type Turns } from './core/bands.ts';
import { admission, type Breaker, closedBreaker, observe, passTime } from './core/breaker.ts';
import { estimateTokens } from './core/estimate.ts';
import { type Fleet, unheard, viewOf, withoutGone, withReport } from './core/fleet.ts';
import { type Assignment, Ledger, type PromptGuess } from './core/ledger.ts';
import { OutputLengths } from './core/output-lengths.ts';
import { PrefixIndex } from './core/prefix-index.ts';
import { isGuessed, PromptLengths } from './core/prompt-lengths.ts';
import { WaitingQueue } from './core/queue.ts';
import { Realised } from './core/realised.ts';
import type { PolicyInForce } from './core/record.ts';
import { Residuals } from './core/residuals.ts';
import { Shadow } from './core/shadow.ts';
import { policyAt } from './core/switchback.ts';
import type { Ask, Candidate, ClusterView, Incumbent, TokenEstimate, Waiting } from './core/types.ts';
import { startEtaMs, WantedNodes } from './core/wanted.ts';

/** In force while LLM_POLICY holds none. */
const builtInPolicy: PolicyInForce = { value: policySchema.parse({ v: 1, strategy: 'cost' }), revision: 0 };

/** Everything that a scheduler knows. It owns no connection and no clock; all of it can be learnt again after a restart. */
export class State {
  readonly ledger = new Ledger();
  readonly queue = new WaitingQueue();
  readonly lengths = new OutputLengths();
  readonly prompts = new PromptLengths();
  readonly residuals = new Residuals();
  readonly prefixes = new PrefixIndex();
  readonly realised = new Realised();
  readonly wanted = new WantedNodes();
  /** What was last measured of each cluster. */
  readonly profiles = new Map<ClusterId, Profile>();
  readonly incumbents = new Map<string, Incumbent>();
  /** As of the last `turn`. */
  policy: PolicyInForce = builtInPolicy;
  /** Present while a policy is asked that is not obeyed. */
  shadow: Shadow | undefined;
  catalogue: Catalogue | undefined;
  turns: Turns = noTurns;
  fleet: Fleet = new Map();
  #active: PolicyInForce = builtInPolicy;
  #experiment: { readonly value: Experiment; readonly revision: number } | undefined;
  readonly #tariffs = new Map<ClusterId, Tariff>();
  readonly #cordons = new Map<ClusterId, Cordon>();
  readonly #breakers = new Map<ClusterId, Breaker>();
  readonly #silenceNoted = new Set<ClusterId>();

  setPolicy(policy: PolicyInForce | undefined): void {
    this.#active = policy ?? builtInPolicy;
    if (!this.policy.turn) this.policy = this.#active;
  }

  setExperiment(experiment: { readonly value: Experiment; readonly revision: number } | undefined): void {
    this.#experiment = experiment;
    const shadow = experiment?.value.shadow;
    this.shadow = experiment && shadow ? new Shadow(experiment.value.name, shadow) : undefined;
  }

  /**
   * Puts the policy in force whose time it is: that of the experiment, or the active one. A policy that takes its turn finds
   * no incumbents: those of its predecessor would keep the traffic where that had it.
   */
  turn(nowMs: number): void {
    const before = this.policy.turn;
    const now = this.#experiment && policyAt(this.#experiment.value, nowMs);
    if (!now && !before) return;
    this.policy =
      now && this.#experiment
        ? { value: now.value, revision: this.#experiment.revision, turn: now.turn }
        : this.#active;
    if (before?.experiment !== now?.turn.experiment || before?.policy !== now?.turn.policy)
      this.incumbents.clear();
  }

  setTariff(cluster: ClusterId, tariff: Tariff | undefined): void {
    const before = this.#tariffs.get(cluster);
    if (tariff) this.#tariffs.set(cluster, tariff);
    else this.#tariffs.delete(cluster);
    if (pricesOf(before) === pricesOf(tariff)) return;
    // The dwell time keeps noise from moving traffic. A price is no noise: it counts from the next decision on.
    for (const [model, { cluster: seated }] of this.incumbents)
      this.incumbents.set(model, { cluster: seated, sinceMs: Number.MIN_SAFE_INTEGER });
  }

  /** Closes a cluster to new work, with the operator's reason, or opens it again. What it has it keeps. */
  setCordon(cluster: ClusterId, cordon: Cordon | undefined): void {
    if (cordon === undefined) this.#cordons.delete(cluster);
    else this.#cordons.set(cluster, cordon);
  }

  /** True while an operator wants no node of the cluster. */
  isPaused(cluster: ClusterId): boolean {
    return this.#cordons.get(cluster)?.paused === true;
  }

  hearReport(report: Report, receivedAtMs: number): void {
    this.fleet = withReport(this.fleet, report, receivedAtMs);
    this.#silenceNoted.delete(report.cluster);
  }

  forgetGoneAgents(nowMs: number): void {
    this.fleet = withoutGone(this.fleet, nowMs);
  }

  /** Clusters that have reported, and clusters at zero that have a price. */
  clusters(): ClusterId[] {
    return [...new Set([...this.fleet.keys(), ...this.#tariffs.keys()])];
  }

  /** Those with nodes that can be woken and let go: a provider has none. */
  nodeClusters(): ClusterId[] {
    return this.clusters().filter((cluster) => !this.#isProvider(cluster));
  }

  #isProvider(cluster: ClusterId): boolean {
    return (
      this.#tariffs.get(cluster)?.usdPerMillion !== undefined ||
      [...(this.fleet.get(cluster)?.values() ?? [])].some(({ report }) => report.provider !== undefined)
    );
  }

  /**
   * Jobs that nodes should be there for. What is at a provider counts only where it is there for want of nodes: elsewhere
   * it went there because that is cheaper.
   */
  jobsForNodes(): number {
    const bought = this.providersBesideNodes();
    return this.ledger.size - bought.reduce((sum, cluster) => sum + this.ledger.load(cluster), 0);
  }

  /** Providers that are chosen by price like a cluster of nodes; none where they are there for want of nodes. */
  providersBesideNodes(): ClusterId[] {
    const { strategy, providers } = this.policy.value;
    if (strategy === 'own-first' || providers === 'fallback') return [];
    return this.clusters().filter((cluster) => this.#isProvider(cluster));
  }

  view(cluster: ClusterId, nowMs: number): ClusterView {
    if (this.fleet.has(cluster)) return viewOf(this.fleet, cluster, nowMs, this.policy.value.reportStaleMs);
    const profile = this.profiles.get(cluster);
    // What a cluster at zero cannot serve, it will not be able to serve when it is woken.
    return { ...unheard(cluster), ...(profile ? { model: profile.model } : {}) };
  }

  /** How long until a node that is on its way is ready, in ms; undefined when none is, or nobody knows. */
  startEtaMs(nowMs: number): number | undefined {
    const starting = this.clusters().flatMap((cluster) => {
      const wokenAtMs = this.wanted.latestMs(cluster, nowMs);
      const isThere = this.view(cluster, nowMs).nodes >= this.wanted.nodes(cluster, nowMs).length;
      return wokenAtMs === undefined || isThere ? [] : [{ wokenAtMs, profile: this.profiles.get(cluster) }];
    });
    return startEtaMs(starting, nowMs);
  }

  breaker(cluster: ClusterId, nowMs: number): Breaker {
    const breaker = passTime(this.#breakers.get(cluster) ?? closedBreaker, nowMs);
    this.#breakers.set(cluster, breaker);
    return breaker;
  }

  /** @param prefix of the request that is decided on, where its cache matters */
  candidate(view: ClusterView, nowMs: number, prefix: readonly string[] = []): Candidate {
    const load = this.ledger.load(view.cluster);
    const tariff = this.#tariffs.get(view.cluster);
    const cordon = this.#cordons.get(view.cluster);
    return {
      view,
      load,
      ...(tariff ? { tariff } : {}),
      ...(cordon === undefined ? {} : { cordon: cordon.reason }),
      breaker: admission(this.breaker(view.cluster, nowMs), load, nowMs),
      ...this.#learned(view.cluster, nowMs, prefix),
    };
  }

  #learned(cluster: ClusterId, nowMs: number, prefix: readonly string[]) {
    const { affinity } = this.policy.value;
    const idleSinceMs = this.ledger.idleSinceMs(cluster);
    const residual = this.residuals.factor(cluster);
    const realisedUsdPer1k = this.realised.usdPer1k(cluster);
    const cachedTokens = affinity.enabled
      ? this.prefixes.cachedTokens(cluster, prefix, nowMs, affinity.ttlMs)
      : 0;
    return {
      ...(idleSinceMs === undefined ? {} : { idleMs: Math.max(0, nowMs - idleSinceMs) }),
      ...(residual === undefined ? {} : { residual }),
      ...(cachedTokens > 0 ? { cachedTokens } : {}),
      ...(realisedUsdPer1k === undefined ? {} : { realisedUsdPer1k }),
    };
  }

  /** Keeps account of what the nodes that are heard cost; to be called every second. */
  payNodes(nowMs: number): void {
    for (const cluster of this.fleet.keys()) {
      const tariff = this.#tariffs.get(cluster);
      const { nodes } = this.view(cluster, nowMs);
      if (tariff) this.realised.pay(cluster, nodes, tariff.usdPerHour * tariff.overheadFactor, nowMs);
    }
  }

  estimate({ request, model, promptTokens }: Waiting): TokenEstimate {
    const prompt = this.prompts.estimate(request, model, promptTokens);
    const lengths = this.lengths.known(request.tenant, request.endpoint);
    return { ...estimateTokens(request, prompt.tokens, lengths), promptBasis: prompt.basis };
  }

  /** What the end of the request will teach about the lengths of prompts; undefined: nothing. */
  guessOf({ request, model, promptTokens }: Waiting): PromptGuess | undefined {
    return isGuessed(request) ? { model, tokens: promptTokens } : undefined;
  }

  ask(waiting: Waiting): Ask {
    const { request, model, previous } = waiting;
    return {
      request,
      model,
      estimate: this.estimate(waiting),
      ...(previous ? { leave: previous.cluster } : {}),
      ...(previous?.modelHash === undefined ? {} : { modelHash: previous.modelHash }),
    };
  }

  /** A job of a cluster went well, or the cluster failed it. */
  observe(cluster: ClusterId, ok: boolean, nowMs: number): void {
    this.#breakers.set(cluster, observe(this.breaker(cluster, nowMs), ok, this.policy.value.breaker, nowMs));
  }

  /** A request was assigned: its tenant has had its tokens, and the cluster will have its prompt in the cache. */
  noteAssigned(
    { request, prefix }: Waiting,
    cluster: ClusterId,
    estimate: TokenEstimate,
    nowMs: number,
  ): void {
    const { tenant } = request;
    const tokens = { prompt: estimate.promptTokens, output: estimate.outputTokens };
    this.queue.counters.charge(tenant, tokens, this.weightOf(tenant));
    if (prefix) this.prefixes.learn(cluster, prefix, nowMs);
  }

  weightOf(tenant: TenantId): number {
    return this.policy.value.fairness.weights[tenant] ?? 1;
  }

  /**
   * What the end of a request at a cluster teaches: whether the cluster is sound, how long such answers are, how wrong the
   * prediction was, how much of the prompt was cached, and what the tenant really had.
   */
  learnFrom(outcome: Outcome, cluster: ClusterId, assignment: Assignment | undefined, nowMs: number): void {
    if (outcome.status === 'done') {
      this.observe(cluster, true, nowMs);
      if (assignment?.endpoint && outcome.usage)
        this.lengths.learn(assignment.tenant, assignment.endpoint, outcome.usage.completionTokens);
      if (assignment?.cluster === cluster && outcome.usage) this.#settle(assignment, outcome.usage, nowMs);
    } else if (outcome.status === 'failed' && outcome.code === 'backend_failed') {
      this.observe(cluster, false, nowMs);
    }
  }

  #settle(assignment: Assignment, usage: Usage, nowMs: number): void {
    const { tenant, cluster, endpoint, expected, guess } = assignment;
    const { completionTokens, cachedTokens } = usage;
    if (endpoint && guess) this.prompts.learn(guess.model, endpoint, guess.tokens, usage.promptTokens);
    this.realised.deliver(cluster, completionTokens);
    const bought = this.#tariffs.get(cluster)?.usdPerMillion;
    if (bought)
      this.realised.spend(
        cluster,
        (usage.promptTokens * bought.prompt + completionTokens * bought.output) / 1_000_000,
      );
    if (!expected) return;
    const correction = { prompt: 0, output: completionTokens - expected.outputTokens };
    this.queue.counters.charge(tenant, correction, this.weightOf(tenant));
    const predictedMs = expected.ttftMs + completionTokens * expected.tpotMs;
    this.residuals.learn(cluster, predictedMs, nowMs - expected.atMs);
    if (cachedTokens !== undefined) this.prefixes.correct(cluster, expected.cachedTokens, cachedTokens);
  }

  /** A cluster that fell silent with jobs running has failed each of them; once per silence. */
  noteSilences(nowMs: number): void {
    for (const { cluster, state } of [...this.ledger.all()]) {
      if (state !== 'running' || this.#silenceNoted.has(cluster)) continue;
      if (this.view(cluster, nowMs).phase !== 'silent') continue;
      this.#silenceNoted.add(cluster);
      for (const other of this.ledger.all())
        if (other.cluster === cluster && other.state === 'running') this.observe(cluster, false, nowMs);
    }
  }
}

const pricesOf = (tariff: Tariff | undefined): string =>
  JSON.stringify([tariff?.usdPerHour, tariff?.overheadFactor, tariff?.usdPerMillion]);
