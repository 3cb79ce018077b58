import type { RejectionCode } from '@drover/schemas';
import { decide } from './core/decide.ts';
import { type Judgement, planPass } from './core/plan.ts';
import { isHeldBack } from './core/reserve.ts';
import type { Candidate, ClusterView, Considered, Context, Decision, Waiting } from './core/types.ts';
import type { State } from './state.ts';

export type PlannerActions = {
  assign(waiting: Waiting, decision: Extract<Decision, { kind: 'assign' }>, nowMs: number): void;
  refuse(waiting: Waiting, decision: Extract<Decision, { kind: 'reject' }>, nowMs: number): void;
};

/** Decides on what waits, on the state as it is, and hands each decision to whoever carries it out. */
export class Planner {
  readonly #state: State;
  readonly #actions: PlannerActions;
  readonly #random: () => number;
  readonly #timed: (seconds: number) => void;

  constructor(
    state: State,
    actions: PlannerActions,
    options: { random: () => number; onDecided: (seconds: number) => void },
  ) {
    this.#state = state;
    this.#actions = actions;
    this.#random = options.random;
    this.#timed = options.onDecided;
  }

  /** One planning pass over everything that waits. */
  pass(nowMs: number): void {
    const state = this.#state;
    state.turn(nowMs);
    if (state.queue.size === 0) return;
    const views = this.#views(nowMs);
    state.turns = planPass(
      state.queue,
      state.turns,
      () => this.#hasFreeSlot(views),
      (waiting) => (this.#isHeldBack(waiting, views, nowMs) ? 'defer' : this.#judge(waiting, views, nowMs)),
      state.policy.value.fairness.enabled,
    );
  }

  /** Refuses a newcomer that no cluster can ever take at once, however busy the fleet is. */
  screen(waiting: Waiting, nowMs: number): void {
    this.#state.turn(nowMs);
    const views = this.#views(nowMs);
    if (!this.#hasFreeSlot(views)) this.#judge(waiting, views, nowMs);
  }

  /** Why each cluster does not take the request now. */
  consider(waiting: Waiting, nowMs: number): readonly Considered[] {
    return this.#decide(waiting, this.#views(nowMs), nowMs).considered;
  }

  /** About how long the request will wait, in ms; undefined when nobody knows. */
  outlookMs(waiting: Waiting, nowMs: number): number | undefined {
    const decision = this.#decide(waiting, this.#views(nowMs), nowMs);
    const etas = [decision.kind === 'defer' ? decision.etaMs : undefined, this.#state.startEtaMs(nowMs)];
    const known = etas.filter((etaMs) => etaMs !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  #judge(waiting: Waiting, views: readonly ClusterView[], nowMs: number): Judgement {
    const startedAt = performance.now();
    const decision = this.#decide(waiting, views, nowMs);
    this.#timed((performance.now() - startedAt) / 1_000);
    if (decision.kind === 'assign') {
      if (decision.incumbent) this.#state.incumbents.set(waiting.model, decision.incumbent);
      const estimate = this.#state.estimate(waiting);
      this.#actions.assign(waiting, decision, nowMs);
      this.#state.noteAssigned(waiting, decision.cluster, estimate, nowMs);
    } else if (decision.kind === 'reject') {
      this.#actions.refuse(waiting, decision, nowMs);
    }
    return decision.kind === 'defer' && decision.considered.every(holdsForAll)
      ? 'defer-alike'
      : decision.kind;
  }

  #decide(waiting: Waiting, views: readonly ClusterView[], nowMs: number): Decision {
    const state = this.#state;
    const candidates: Candidate[] = views.map((view) => state.candidate(view, nowMs, waiting.prefix));
    const incumbent = state.incumbents.get(waiting.model);
    const context: Context = {
      policy: state.policy.value,
      nowMs,
      random: this.#random(),
      ...(incumbent ? { incumbent } : {}),
    };
    return decide(state.ask(waiting), candidates, context);
  }

  #views(nowMs: number): ClusterView[] {
    return this.#state.clusters().map((cluster) => this.#state.view(cluster, nowMs));
  }

  #isHeldBack(waiting: Waiting, views: readonly ClusterView[], nowMs: number): boolean {
    const { ledger, policy } = this.#state;
    const { reserve } = policy.value;
    if (reserve.share === 0) return false;
    let slots = 0;
    let free = 0;
    for (const view of views) {
      if (view.phase !== 'ready') continue;
      slots += view.slots;
      free += Math.max(0, view.slots - ledger.load(view.cluster));
    }
    return isHeldBack(waiting, slots, free, reserve, nowMs);
  }

  #hasFreeSlot(views: readonly ClusterView[]): boolean {
    const { ledger, policy } = this.#state;
    const { bufferSlots } = policy.value;
    return views.some(
      ({ cluster, slots, phase }) => phase === 'ready' && ledger.load(cluster) < slots + bufferSlots,
    );
  }
}

/** Refusals that depend on the length or the deadline of the request. All others hold for every request of its kind. */
const ownReasons: ReadonlySet<RejectionCode> = new Set([
  'context-too-small',
  'ttft-too-long',
  'deadline-too-close',
  'rates-unknown',
]);

const holdsForAll = ({ rejection }: Considered): boolean =>
  rejection !== undefined && !ownReasons.has(rejection.code);
