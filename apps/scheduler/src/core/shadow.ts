import type { Experiment, ShadowNote } from '@drover/schemas';
import { decide } from './decide.ts';
import { drawnFrom } from './drawn.ts';
import type { Basis, Decision, Incumbent } from './types.ts';

/** A message that tells what was wrong; a record must stay small whatever an error says. */
const errorMax = 200;

/**
 * A policy that is asked what it would have done on the state of a decision, and obeyed in nothing. It has incumbents of its
 * own: with those of the policy in force it would look more like it than it is.
 */
export class Shadow {
  readonly #experiment: string;
  readonly #shadow: NonNullable<Experiment['shadow']>;
  readonly #incumbents = new Map<string, Incumbent>();
  readonly #decide: typeof decide;

  /** @param decideBy what decides; another one only in tests */
  constructor(experiment: string, shadow: NonNullable<Experiment['shadow']>, decideBy = decide) {
    this.#experiment = experiment;
    this.#shadow = shadow;
    this.#decide = decideBy;
  }

  /**
   * What it would have done; undefined for a request that is not in its share. Never throws: what goes wrong in it is its
   * answer.
   */
  look(request: string, { ask, candidates, context }: Basis): ShadowNote | undefined {
    const { name, policy, share } = this.#shadow;
    if (share < 1 && drawnFrom(this.#experiment, name, request) >= share) return undefined;
    const about = { experiment: this.#experiment, policy: name };
    const incumbent = this.#incumbents.get(ask.model);
    const { nowMs, random } = context;
    try {
      const decision = this.#decide(ask, candidates, {
        policy,
        nowMs,
        random,
        ...(incumbent ? { incumbent } : {}),
      });
      if (decision.kind === 'assign' && decision.incumbent)
        this.#incumbents.set(ask.model, decision.incumbent);
      return { ...about, ...noteOf(decision), ...(incumbent ? { incumbent } : {}) };
    } catch (error) {
      return { ...about, kind: 'error', error: String(error).slice(0, errorMax) };
    }
  }
}

/** The part of a note that follows from the decision. */
export function noteOf(decision: Decision): Omit<ShadowNote, 'experiment' | 'policy' | 'incumbent'> {
  if (decision.kind !== 'assign')
    return { kind: decision.kind, ...(decision.kind === 'reject' ? { rule: decision.code } : {}) };
  const { marginalUsd, ttftMs, totalMs } = decision.chosen.prediction;
  return { kind: 'assign', chosen: decision.cluster, rule: decision.rule, marginalUsd, ttftMs, totalMs };
}
