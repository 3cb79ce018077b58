import {
  type Catalogue,
  type ClusterId,
  type Outcome,
  type Policy,
  policy as policySchema,
  type Report,
  type Tariff,
} from '@drover/schemas';
import { noTurns, type Turns } from './core/bands.ts';
import { admission, type Breaker, closedBreaker, observe, passTime } from './core/breaker.ts';
import { estimateTokens } from './core/estimate.ts';
import { type Fleet, unheard, viewOf, withoutGone, withReport } from './core/fleet.ts';
import { type Assignment, Ledger } from './core/ledger.ts';
import { OutputLengths } from './core/output-lengths.ts';
import { WaitingQueue } from './core/queue.ts';
import type { Ask, Candidate, ClusterView, Incumbent, TokenEstimate, Waiting } from './core/types.ts';

export type PolicyInForce = { readonly value: Policy; readonly revision: number };

/** In force while LLM_POLICY holds none. */
const builtInPolicy: PolicyInForce = { value: policySchema.parse({ v: 1, strategy: 'cost' }), revision: 0 };

/** Everything that a scheduler knows. It owns no connection and no clock; all of it can be learnt again after a restart. */
export class State {
  readonly ledger = new Ledger();
  readonly queue = new WaitingQueue();
  readonly lengths = new OutputLengths();
  readonly incumbents = new Map<string, Incumbent>();
  policy: PolicyInForce = builtInPolicy;
  catalogue: Catalogue | undefined;
  turns: Turns = noTurns;
  fleet: Fleet = new Map();
  readonly #tariffs = new Map<ClusterId, Tariff>();
  readonly #breakers = new Map<ClusterId, Breaker>();
  readonly #silenceNoted = new Set<ClusterId>();

  setPolicy(policy: PolicyInForce | undefined): void {
    this.policy = policy ?? builtInPolicy;
  }

  setTariff(cluster: ClusterId, tariff: Tariff | undefined): void {
    const before = this.#tariffs.get(cluster);
    if (tariff) this.#tariffs.set(cluster, tariff);
    else this.#tariffs.delete(cluster);
    if (before?.usdPerHour === tariff?.usdPerHour && before?.overheadFactor === tariff?.overheadFactor)
      return;
    // The dwell time keeps noise from moving traffic. A price is no noise: it counts from the next decision on.
    for (const [model, { cluster: seated }] of this.incumbents)
      this.incumbents.set(model, { cluster: seated, sinceMs: Number.NEGATIVE_INFINITY });
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

  view(cluster: ClusterId, nowMs: number): ClusterView {
    return this.fleet.has(cluster)
      ? viewOf(this.fleet, cluster, nowMs, this.policy.value.reportStaleMs)
      : unheard(cluster);
  }

  breaker(cluster: ClusterId, nowMs: number): Breaker {
    const breaker = passTime(this.#breakers.get(cluster) ?? closedBreaker, nowMs);
    this.#breakers.set(cluster, breaker);
    return breaker;
  }

  candidate(view: ClusterView, nowMs: number): Candidate {
    const load = this.ledger.load(view.cluster);
    const tariff = this.#tariffs.get(view.cluster);
    return {
      view,
      load,
      ...(tariff ? { tariff } : {}),
      breaker: admission(this.breaker(view.cluster, nowMs), load, nowMs),
    };
  }

  estimate({ request, promptTokens }: Waiting): TokenEstimate {
    return estimateTokens(request, promptTokens, this.lengths.usual(request.tenant, request.endpoint));
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

  /** What the end of a request at a cluster teaches: whether the cluster is sound, and how long such answers are. */
  learnFrom(outcome: Outcome, cluster: ClusterId, assignment: Assignment | undefined, nowMs: number): void {
    if (outcome.status === 'done') {
      this.observe(cluster, true, nowMs);
      if (assignment?.endpoint && outcome.usage)
        this.lengths.learn(assignment.tenant, assignment.endpoint, outcome.usage.completionTokens);
    } else if (outcome.status === 'failed' && outcome.code === 'backend_failed') {
      this.observe(cluster, false, nowMs);
    }
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
