import type { ClusterId, RequestId } from '@drover/schemas';
import type { Fleet } from './fleet.ts';
import { inFlightAt, leftAt } from './fleet.ts';
import type { Assignment } from './ledger.ts';
import type { ClusterView, RecallReason } from './types.ts';

/** A job gets this long to be pulled before its place is doubted. */
const settleMs = 1_000;
/** A claimed job that no report lists for this long has lost its agent: a claim is reported at once. */
const lostMs = 1_500;
/** Agents report every 250 ms while they run something: one that misses five of these is not late, it is gone. */
const silentMs = 1_250;
/** An agent that takes a job reports it at once, and an idle one reports every second. */
const untakenMs = 2_000;
/** The agents that are left had this long to take a job that the one that is gone may have had in its hands. */
const takenMs = 100;

export type Recall = { readonly assignment: Assignment; readonly reason: RecallReason };

/**
 * The jobs that should leave their cluster:
 * - `released`: its agent gave it back;
 * - `gone`: the connection of the agent that runs it has ended, and did not come back;
 * - `silent`: no agent of the cluster reports any more, or not the one that runs the job, so that even a claimed job is
 *   moved (the fence settles the rest); or nobody there was heard since the job was assigned;
 * - `draining`, `down`: not claimed yet, and no agent there will; a claimed job is finished or released by its agent;
 * - `stranded`: not claimed, and the cluster has more jobs than slots (two schedulers chose it at once, or it shrank), or
 *   who took it died before anybody heard of it;
 * - `lost`: claimed, but fresh reports of all agents do not list it: its agent died and came back.
 */
export function recalls(
  assignments: Iterable<Assignment>,
  fleet: Fleet,
  viewOf: (cluster: ClusterId) => ClusterView,
  loadOf: (cluster: ClusterId) => number,
  bufferSlots: number,
  nowMs: number,
): Recall[] {
  const found: Recall[] = [];
  const listed = new Map<ClusterId, ReadonlyMap<RequestId, number>>();
  const listedAt = (cluster: ClusterId): ReadonlyMap<RequestId, number> => {
    const inFlight = listed.get(cluster) ?? inFlightAt(fleet, cluster);
    listed.set(cluster, inFlight);
    return inFlight;
  };
  const left = new Map<ClusterId, ReturnType<typeof leftAt>>();
  const leftIn = (cluster: ClusterId): ReturnType<typeof leftAt> => {
    const jobs = left.get(cluster) ?? leftAt(fleet, cluster);
    left.set(cluster, jobs);
    return jobs;
  };
  const unclaimed = new Map<ClusterId, Assignment[]>();
  for (const assignment of assignments) {
    const { cluster, state, sinceMs } = assignment;
    if (state === 'released') {
      found.push({ assignment, reason: 'released' });
      continue;
    }
    if (state === 'reserved') continue;
    const { phase, reportAgeMs, slots } = viewOf(cluster);
    const ageMs = nowMs - sinceMs;
    const heardMs = listedAt(cluster).get(assignment.id);
    if (heardMs === undefined) {
      const { jobs, atMs } = leftIn(cluster);
      if (jobs.has(assignment.id)) {
        found.push({ assignment, reason: 'gone' });
        continue;
      }
      const mayBeLeft = state === 'assigned' && atMs >= sinceMs && ageMs > takenMs;
      if (mayBeLeft && (phase === 'silent' || loadOf(cluster) <= slots)) {
        found.push({ assignment, reason: 'stranded' });
        continue;
      }
    }
    if (ageMs < settleMs) continue;
    if (phase === 'silent') {
      found.push({ assignment, reason: 'silent' });
    } else if (state === 'running') {
      if (heardMs === undefined && ageMs > lostMs) found.push({ assignment, reason: 'lost' });
      if (heardMs !== undefined && nowMs - heardMs > silentMs) found.push({ assignment, reason: 'silent' });
    } else if (reportAgeMs !== undefined && reportAgeMs >= ageMs && ageMs > silentMs) {
      found.push({ assignment, reason: 'silent' });
    } else if (phase === 'draining' || phase === 'down') {
      found.push({ assignment, reason: phase });
    } else if (heardMs === undefined && ageMs > untakenMs && loadOf(cluster) <= slots) {
      found.push({ assignment, reason: 'stranded' });
    } else {
      unclaimed.set(cluster, [...(unclaimed.get(cluster) ?? []), assignment]);
    }
  }
  for (const [cluster, waiting] of unclaimed) {
    const excess = loadOf(cluster) - viewOf(cluster).slots - bufferSlots;
    if (excess <= 0) continue;
    // Those that came last leave first; the others are next at the cluster's slots.
    for (const assignment of waiting.toSorted((a, b) => b.sinceMs - a.sinceMs).slice(0, excess))
      found.push({ assignment, reason: 'stranded' });
  }
  return found;
}
