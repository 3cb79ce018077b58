import type { FailureCode, RejectionCode } from '@drover/schemas';
import type { Ask, Considered, Context, Scored, Verdict } from './types.ts';

/**
 * Nobody can take the request as it should be taken.
 * - No cluster ever will: it is refused.
 * - A slot is free, but the answer would be late: by priority, the quickest takes it all the same, or it waits.
 * - Waiting is no use, since even a free slot would be too late: by priority, it is refused early, with a time to come back.
 * - Waiting is no use, since a cluster without a job is as quick as it will ever be: it takes it. A prompt too long for the
 *   limit on the first token would otherwise wait for a moment that never comes.
 * - Otherwise it waits in the central queue; `etaMs` says for how long, if anybody knows.
 */
export function whenNobodyCan(ask: Ask, considered: readonly Considered[], context: Context): Verdict {
  // An empty fleet is a cold start, not a refusal: it takes at least one cluster, and only permanent reasons, to say never.
  const hopeless = considered.length > 0 && considered.every(({ rejection }) => rejection?.permanent);
  if (hopeless)
    return {
      kind: 'reject',
      code: failureOf(considered),
      message: describeRejections(considered),
      considered,
    };
  const course = context.policy.unfeasible[ask.request.priority];
  const remainingMs = ask.request.deadlineAtMs - context.nowMs;
  const leastBad = course === 'least-bad' ? quickest(considered, remainingMs) : undefined;
  if (leastBad) return assignTo(leastBad, considered);
  const etaMs = soonest(considered);
  if (course === 'reject' && etaMs !== undefined && tooLateAnyway(ask, considered, remainingMs))
    return {
      kind: 'reject',
      code: 'queue_full',
      message: `No cluster can answer before the deadline (${describeRejections(considered)}).`,
      considered,
      retryAfterMs: etaMs,
    };
  const nothingBetter = quickest(considered.filter(isUnloaded), remainingMs);
  if (nothingBetter) return assignTo(nothingBetter, considered);
  return { kind: 'defer', considered, ...(etaMs === undefined ? {} : { etaMs }) };
}

const isUnloaded = ({ candidate: { load, view } }: Considered): boolean => load < view.nodes;

/** Refusals by time alone, asked after the free slot: the cluster could start now. */
const late: ReadonlySet<RejectionCode> = new Set(['ttft-too-long', 'deadline-too-close']);
const full: ReadonlySet<RejectionCode> = new Set(['no-free-slot', 'queue-too-deep']);

/** The cluster with the earliest first token, if that comes before the deadline at all. */
function quickest(considered: readonly Considered[], remainingMs: number): Considered | undefined {
  let best: Considered | undefined;
  for (const one of considered) {
    const { rejection, prediction, candidate } = one;
    if (!rejection || !late.has(rejection.code) || !candidate.breaker.allowed) continue;
    if (!prediction || prediction.ttftMs >= remainingMs) continue;
    if (!best?.prediction || prediction.ttftMs < best.prediction.ttftMs) best = one;
  }
  return best;
}

function assignTo(leastBad: Considered, considered: readonly Considered[]): Verdict {
  const { rejection: _, ...rest } = leastBad;
  if (!rest.prediction) throw new Error('the least bad cluster has no prediction');
  const chosen: Scored = { ...rest, prediction: rest.prediction, score: rest.prediction.ttftMs };
  return {
    kind: 'assign',
    cluster: chosen.candidate.view.cluster,
    rule: 'least-bad',
    chosen,
    considered: [chosen, ...considered.filter((one) => one !== leastBad)],
  };
}

/** When the first slot of a full cluster is expected to be free. */
function soonest(considered: readonly Considered[]): number | undefined {
  let etaMs: number | undefined;
  for (const { rejection, prediction, candidate } of considered) {
    if (!rejection || !prediction) continue;
    const isLimited = rejection.code === 'provider-limited';
    if (!isLimited && !full.has(rejection.code) && !late.has(rejection.code)) continue;
    const inMs = isLimited ? (candidate.view.provider?.limit?.resumesInMs ?? 0) : prediction.ttftMs;
    etaMs = Math.min(etaMs ?? Number.POSITIVE_INFINITY, inMs);
  }
  return etaMs;
}

/** True when every cluster that it could wait for would be too late. What is not ready yet may be quick: nobody knows. */
function tooLateAnyway(ask: Ask, considered: readonly Considered[], remainingMs: number): boolean {
  const learned = ask.estimate.outputBasis === 'learned';
  return considered.every(({ rejection, prediction, candidate }) => {
    if (!rejection || rejection.permanent) return true;
    if (rejection.code === 'provider-limited')
      return (candidate.view.provider?.limit?.resumesInMs ?? 0) > remainingMs;
    if (!prediction || !(full.has(rejection.code) || late.has(rejection.code))) return false;
    return (learned ? prediction.totalMs : prediction.ttftMs) > remainingMs;
  });
}

/** The failure that the client hears, by the reason of the cluster that came closest. */
const failureByRejection: readonly (readonly [RejectionCode, FailureCode])[] = [
  ['price-above-ceiling', 'no_cluster_within_ceiling'],
  ['region-not-allowed', 'no_cluster_in_region'],
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
