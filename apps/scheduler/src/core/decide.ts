import type { RejectionCode } from '@drover/schemas';
import { fairShareOfCache } from './bounded-load.ts';
import { clusterUsdPer1k } from './costs.ts';
import { circumstancesOf, predict } from './estimate.ts';
import { explore } from './explore.ts';
import { firstRejection } from './filters/table.ts';
import { pickSticky } from './hysteresis.ts';
import { strategies } from './scorers/table.ts';
import type { Ask, Candidate, Considered, Context, Decision, Feasible, Scored, Verdict } from './types.ts';
import { whenNobodyCan } from './unfeasible.ts';

export { describeRejections } from './unfeasible.ts';

/**
 * The whole decision: estimate, filter, score, pick. `candidates` is the fleet as last reported, corrected by our ledger.
 * Assigns, defers (some cluster may be able to later), or rejects (no cluster ever will be, or waiting is no use).
 * @throws when a scorer gives a score that is not a finite number, which is a bug in it
 */
export function decide(ask: Ask, candidates: readonly Candidate[], context: Context): Decision {
  return { ...judge(ask, candidates, context), basis: { ask, candidates, context } };
}

function judge(ask: Ask, candidates: readonly Candidate[], context: Context): Verdict {
  const largestContextTokens = largestContext(ask, candidates);
  const considered = fairShareOfCache(candidates, context.policy).map((candidate) =>
    consider(ask, candidate, context, largestContextTokens),
  );
  const feasible = considered.filter(isFeasible);
  if (feasible.length > 0)
    return pick(safest(ownBefore(feasible, context), ask, context), considered, context);

  const leastBad = failOpen(considered);
  if (leastBad) return pick([leastBad], considered, context, 'breaker-failed-open');
  return whenNobodyCan(ask, considered, context);
}

/** Which cluster, of those that can take it. */
function pick(
  feasible: readonly Feasible[],
  considered: readonly Considered[],
  context: Context,
  forcedRule?: string,
): Verdict {
  const { policy, incumbent } = context;
  const { sticky } = strategies[policy.strategy];
  const scored = ranked(feasible, context);
  const [best] = scored;
  if (!best) throw new Error('nothing to pick from');

  const usual = sticky
    ? pickSticky(scored, considered, incumbent, policy, context.nowMs)
    : { chosen: best, rule: scored.length === 1 ? 'only-candidate' : 'lowest-score', incumbent: undefined };
  const { chosen, rule, incumbent: next } = sticky ? explore(scored, usual, context) : usual;
  const taken = new Set(scored.map(({ candidate }) => candidate));
  return {
    kind: 'assign',
    cluster: chosen.candidate.view.cluster,
    rule: forcedRule ?? rule,
    chosen,
    considered: [...scored, ...considered.filter((one) => !taken.has(one.candidate))],
    // Failing open is no reason to make a broken cluster the incumbent.
    ...(next && !forcedRule ? { incumbent: next } : {}),
  };
}

function consider(
  ask: Ask,
  candidate: Candidate,
  { policy, nowMs }: Context,
  largestContextTokens: number,
): Considered {
  const { view, load, tariff } = candidate;
  const usdPer1k = clusterUsdPer1k(view, tariff);
  const prediction = predict(ask.estimate, view, load, tariff, circumstancesOf(candidate, policy));
  const rejection = firstRejection({
    ask,
    candidate,
    prediction,
    usdPer1k,
    policy,
    nowMs,
    largestContextTokens,
  });
  return {
    candidate,
    ...(usdPer1k === undefined ? {} : { usdPer1k }),
    ...(prediction ? { prediction } : {}),
    ...(rejection ? { rejection } : {}),
  };
}

const isFeasible = (one: Considered): one is Feasible => !one.rejection && one.prediction !== undefined;

/** Where providers are a fallback, they are there for what no cluster of our own can take now. */
function ownBefore(feasible: readonly Feasible[], { policy }: Context): readonly Feasible[] {
  if (policy.providers !== 'fallback') return feasible;
  const own = feasible.filter(({ candidate: { view } }) => !view.provider);
  return own.length > 0 ? own : feasible;
}

/** Those that make the deadline even if the answer is a long one; all of them when none does, or when nobody knows. */
function safest(feasible: readonly Feasible[], ask: Ask, { policy, nowMs }: Context): readonly Feasible[] {
  if (!policy.longAnswers || ask.estimate.outputBasis === 'assumed') return feasible;
  const remainingMs = ask.request.deadlineAtMs - nowMs;
  const safe = feasible.filter(({ prediction }) => prediction.totalHighMs <= remainingMs);
  return safe.length > 0 ? safe : feasible;
}

/** With their scores, the best first. */
function ranked(feasible: readonly Feasible[], context: Context): Scored[] {
  const { strategy } = context.policy;
  const scores = strategies[strategy].score(feasible, context);
  return feasible
    .map((one, index) => ({ ...one, score: finite(scores[index], strategy) }))
    .sort((a, b) => a.score - b.score || compareNames(a, b));
}

const compareNames = (a: Considered, b: Considered): number =>
  a.candidate.view.cluster < b.candidate.view.cluster ? -1 : 1;

function finite(score: number | undefined, strategy: string): number {
  if (score === undefined || !Number.isFinite(score))
    throw new Error(`the scorer of ${strategy} gave ${score}`);
  return score;
}

/** Refusals after which a cluster is worth waiting for. */
const busy: ReadonlySet<RejectionCode> = new Set(['no-free-slot', 'queue-too-deep', 'ttft-too-long']);

/**
 * Breakers never take away the last cluster: when nothing else could take the request even later, the one that opened the
 * fewest times in a row gets it after all.
 */
function failOpen(considered: readonly Considered[]): Feasible | undefined {
  if (considered.some(({ rejection }) => rejection && busy.has(rejection.code))) return undefined;
  const [first, ...others] = considered.filter(
    (one): one is Feasible => one.rejection?.code === 'breaker-open' && one.prediction !== undefined,
  );
  if (!first) return undefined;
  return others.reduce(
    (least, one) => (one.candidate.breaker.opens < least.candidate.breaker.opens ? one : least),
    first,
  );
}

function largestContext(ask: Ask, candidates: readonly Candidate[]): number {
  let largest = 0;
  for (const { view } of candidates)
    if (view.model?.name === ask.model) largest = Math.max(largest, view.model.contextTokens);
  return largest;
}
