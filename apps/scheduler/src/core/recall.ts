import type { ClusterId, RequestId } from '@drover/schemas';
import type { Fleet } from './fleet.ts';
import { inFlightAt } from './fleet.ts';
import type { Assignment } from './ledger.ts';
import type { ClusterView, RecallReason } from './types.ts';

/** A job gets this long to be pulled before its place is doubted. */
const settleMs = 1_000;
/** A claimed job that no report lists for this long has lost its agent. */
const lostMs = 3_000;

export type Recall = { readonly assignment: Assignment; readonly reason: RecallReason };

/**
 * The jobs that should leave their cluster:
 * - `released`: its agent gave it back;
 * - `silent`: no agent of the cluster reports any more, so that even a claimed job is moved (the fence settles the rest);
 * - `draining`, `down`: not claimed yet, and no agent there will; a claimed job is finished or released by its agent;
 * - `stranded`: not claimed, and the cluster has more jobs than slots (two schedulers chose it at once, or it shrank);
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
  const listed = new Map<ClusterId, ReadonlySet<RequestId>>();
  const unclaimed = new Map<ClusterId, Assignment[]>();
  for (const assignment of assignments) {
    const { cluster, state, sinceMs } = assignment;
    if (state === 'released') {
      found.push({ assignment, reason: 'released' });
      continue;
    }
    if (state === 'reserved' || nowMs - sinceMs < settleMs) continue;
    const { phase } = viewOf(cluster);
    if (phase === 'silent') {
      found.push({ assignment, reason: 'silent' });
    } else if (state === 'running') {
      const inFlight = listed.get(cluster) ?? inFlightAt(fleet, cluster);
      listed.set(cluster, inFlight);
      if (!inFlight.has(assignment.id) && nowMs - sinceMs > lostMs)
        found.push({ assignment, reason: 'lost' });
    } else if (phase === 'draining' || phase === 'down') {
      found.push({ assignment, reason: phase });
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
