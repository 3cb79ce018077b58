import type { FailureCode, RejectionCode } from '@drover/schemas';
import { clusterUsdPer1k } from './costs.ts';
import { predict } from './estimate.ts';
import { firstRejection } from './filters/table.ts';
import { pickSticky } from './hysteresis.ts';
import { strategies } from './scorers/table.ts';
import type { Ask, Candidate, Considered, Context, Decision, Feasible, Scored } from './types.ts';

/**
 * The whole decision: filter, estimate, score, pick. `candidates` is the fleet as last reported, corrected by our ledger.
 * Assigns, defers (some cluster may be able to later), or rejects (no cluster ever will be).
 * @throws when a scorer gives a score that is not a finite number, which is a bug in it
 */
export function decide(ask: Ask, candidates: readonly Candidate[], context: Context): Decision {
  const largestContextTokens = largestContext(ask, candidates);
  const considered = candidates.map((candidate) => consider(ask, candidate, context, largestContextTokens));
  const feasible = considered.filter(isFeasible);
  if (feasible.length > 0) return pick(feasible, considered, context);

  const leastBad = failOpen(considered);
  if (leastBad) return pick([leastBad], considered, context, 'breaker-failed-open');
  return refuse(considered);
}

function consider(
  ask: Ask,
  candidate: Candidate,
  { policy, nowMs }: Context,
  largestContextTokens: number,
): Considered {
  const { view, load, tariff } = candidate;
  const usdPer1k = clusterUsdPer1k(view, tariff);
  const prediction = predict(ask.estimate, view, load, tariff);
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

function pick(
  feasible: readonly Feasible[],
  considered: readonly Considered[],
  context: Context,
  forcedRule?: string,
): Decision {
  const { policy, incumbent, nowMs } = context;
  const { score, sticky } = strategies[policy.strategy];
  const scores = score(feasible, context);
  const scored: Scored[] = feasible
    .map((one, index) => ({ ...one, score: finite(scores[index], policy.strategy) }))
    .sort((a, b) => a.score - b.score || compareNames(a, b));
  const taken = new Set(scored.map(({ candidate }) => candidate));
  const best = scored[0];
  if (!best) throw new Error('nothing to pick from');

  const picked = sticky
    ? pickSticky(scored, considered, incumbent, policy, nowMs)
    : { chosen: best, rule: scored.length === 1 ? 'only-candidate' : 'lowest-score', incumbent: undefined };
  return {
    kind: 'assign',
    cluster: picked.chosen.candidate.view.cluster,
    rule: forcedRule ?? picked.rule,
    chosen: picked.chosen,
    considered: [...scored, ...considered.filter((one) => !taken.has(one.candidate))],
    // Failing open is no reason to make a broken cluster the incumbent.
    ...(picked.incumbent && !forcedRule ? { incumbent: picked.incumbent } : {}),
  };
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

/** An empty fleet is a cold start, not a refusal: it takes at least one cluster, and only permanent reasons, to say never. */
function refuse(considered: readonly Considered[]): Decision {
  const hopeless = considered.length > 0 && considered.every(({ rejection }) => rejection?.permanent);
  if (!hopeless) return { kind: 'defer', considered };
  const code = failureOf(considered);
  return { kind: 'reject', code, message: describeRejections(considered), considered };
}

/** The failure that the client hears, by the reason of the cluster that came closest. */
const failureByRejection: readonly (readonly [RejectionCode, FailureCode])[] = [
  ['price-above-ceiling', 'no_cluster_within_ceiling'],
  ['context-too-small', 'context_length_exceeded'],
  ['endpoint-not-served', 'endpoint_not_served'],
  ['model-not-served', 'model_not_found'],
];

const failureOf = (considered: readonly Considered[]): FailureCode =>
  failureByRejection.find(([code]) => considered.some(({ rejection }) => rejection?.code === code))?.[1] ??
  'unavailable';

/** Every cluster with its reason, for the message of a failure. */
export const describeRejections = (considered: readonly Considered[]): string =>
  considered.length === 0
    ? 'no cluster is known'
    : considered
        .map(
          ({ candidate: { view }, rejection }) => `${view.cluster}: ${rejection?.detail ?? 'could take it'}`,
        )
        .join('; ');

function largestContext(ask: Ask, candidates: readonly Candidate[]): number {
  let largest = 0;
  for (const { view } of candidates)
    if (view.model?.name === ask.model) largest = Math.max(largest, view.model.contextTokens);
  return largest;
}
