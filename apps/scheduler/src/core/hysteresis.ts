import type { ClusterId, Policy, RejectionCode } from '@drover/schemas';
import type { Considered, Incumbent, Scored } from './types.ts';

/** Reasons that concern one request or one moment. They do not dethrone: the overflow goes elsewhere and returns. */
const passing: ReadonlySet<RejectionCode> = new Set([
  'no-free-slot',
  'queue-too-deep',
  'ttft-too-long',
  'deadline-too-close',
  'context-too-small',
  'price-above-ceiling',
  'region-not-allowed',
  'excluded',
  'model-hash-differs',
]);

export type Pick = {
  readonly chosen: Scored;
  readonly rule: string;
  /** Absent for strategies that have none. */
  readonly incumbent: Incumbent | undefined;
};

/**
 * Picks the cheapest, but stays with the incumbent unless that
 * - is refused for a reason of its own (down, silent, breaker …): the pick takes its place,
 * - cannot take this request (full …): the pick takes this request only, or
 * - is beaten by `switchMargin` after at least `dwellMs`.
 *
 * A cluster that is cheaper because it has the beginning of this prompt in its cache gets this request, and no more.
 * Of costs that are a near tie, the more loaded cluster is taken, which lets the other one go idle.
 *
 * @param scored not empty, the best first   @param considered all candidates, refused ones included
 */
export function pickSticky(
  scored: readonly Scored[],
  considered: readonly Considered[],
  incumbent: Incumbent | undefined,
  policy: Policy,
  nowMs: number,
): Pick {
  const best = preferLoaded(scored, policy.nearTie);
  const installed = (cluster: ClusterId): Incumbent => ({ cluster, sinceMs: nowMs });
  const alone = scored.length === 1;

  const reigning = incumbent && considered.find((one) => one.candidate.view.cluster === incumbent.cluster);
  if (!incumbent || !reigning) return { ...best, incumbent: installed(clusterOf(best.chosen)) };

  const seated = scored.find((one) => clusterOf(one) === incumbent.cluster);
  if (!seated) {
    // Not refused and not scored: it makes the deadline only if the answer is a short one.
    const stays = reigning.rejection === undefined || passing.has(reigning.rejection.code);
    return stays
      ? { chosen: best.chosen, rule: alone ? 'only-candidate' : 'incumbent-overflow', incumbent }
      : { ...best, rule: 'incumbent-lost', incumbent: installed(clusterOf(best.chosen)) };
  }
  if (alone) return { chosen: seated, rule: 'only-candidate', incumbent };
  const cheapest = scored[0] ?? seated;
  if (clusterOf(cheapest) === incumbent.cluster) return { chosen: seated, rule: 'lowest-score', incumbent };
  if ((cheapest.candidate.cachedTokens ?? 0) > (seated.candidate.cachedTokens ?? 0))
    return { chosen: cheapest, rule: 'prefix-cached', incumbent };
  const beaten = cheapest.score < seated.score * (1 - policy.switchMargin);
  const seatedLongEnough = nowMs - incumbent.sinceMs >= policy.dwellMs;
  if (!beaten || !seatedLongEnough) return { chosen: seated, rule: 'incumbent-kept', incumbent };
  return { chosen: best.chosen, rule: 'incumbent-beaten', incumbent: installed(clusterOf(best.chosen)) };
}

const clusterOf = (one: Considered): ClusterId => one.candidate.view.cluster;

/** Of those within a near tie of the best, the one with the most jobs. */
function preferLoaded(scored: readonly Scored[], nearTie: number): { chosen: Scored; rule: string } {
  const [first, ...others] = scored;
  if (!first) throw new Error('nothing to pick from');
  const limit = first.score * (1 + nearTie);
  const chosen = others
    .filter(({ score }) => score <= limit)
    .reduce((most, one) => (one.candidate.load > most.candidate.load ? one : most), first);
  const rule = others.length === 0 ? 'only-candidate' : chosen === first ? 'lowest-score' : 'near-tie-loaded';
  return { chosen, rule };
}
