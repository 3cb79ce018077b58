import { decide } from './core/decide.ts';
import { planPass } from './core/plan.ts';
import type { Candidate, ClusterView, Considered, Decision, Waiting } from './core/types.ts';
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
    if (state.queue.size === 0) return;
    const views = this.#views(nowMs);
    state.turns = planPass(
      state.queue,
      state.turns,
      () => this.#hasFreeSlot(views),
      (waiting) => this.#judge(waiting, views, nowMs),
    );
  }

  /** Refuses a newcomer that no cluster can ever take at once, however busy the fleet is. */
  screen(waiting: Waiting, nowMs: number): void {
    const views = this.#views(nowMs);
    if (!this.#hasFreeSlot(views)) this.#judge(waiting, views, nowMs);
  }

  /** Why each cluster does not take the request now. */
  consider(waiting: Waiting, nowMs: number): readonly Considered[] {
    return this.#decide(waiting, this.#views(nowMs), nowMs).considered;
  }

  #judge(waiting: Waiting, views: readonly ClusterView[], nowMs: number): Decision['kind'] {
    const startedAt = performance.now();
    const decision = this.#decide(waiting, views, nowMs);
    this.#timed((performance.now() - startedAt) / 1_000);
    if (decision.kind === 'assign') {
      if (decision.incumbent) this.#state.incumbents.set(waiting.model, decision.incumbent);
      this.#actions.assign(waiting, decision, nowMs);
    } else if (decision.kind === 'reject') {
      this.#actions.refuse(waiting, decision, nowMs);
    }
    return decision.kind;
  }

  #decide(waiting: Waiting, views: readonly ClusterView[], nowMs: number): Decision {
    const state = this.#state;
    const candidates: Candidate[] = views.map((view) => state.candidate(view, nowMs));
    const incumbent = state.incumbents.get(waiting.model);
    return decide(state.ask(waiting), candidates, {
      policy: state.policy.value,
      nowMs,
      random: this.#random(),
      ...(incumbent ? { incumbent } : {}),
    });
  }

  #views(nowMs: number): ClusterView[] {
    return this.#state.clusters().map((cluster) => this.#state.view(cluster, nowMs));
  }

  #hasFreeSlot(views: readonly ClusterView[]): boolean {
    const { ledger, policy } = this.#state;
    const { bufferSlots } = policy.value;
    return views.some(
      ({ cluster, slots, phase }) => phase === 'ready' && ledger.load(cluster) < slots + bufferSlots,
    );
  }
}
