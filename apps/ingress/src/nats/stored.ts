import { replay } from '@drover/client';
import { EventLog, lastMessage, type Nats } from '@drover/runtime';
import {
  type DecisionRecord,
  decisionRecord,
  parseMessage,
  type RequestId,
  streams,
  subjects,
  type TenantId,
  Transcript,
} from '@drover/schemas';
import type { Stored } from '../core/snapshot.ts';

/** The last decision about a request of this tenant, or null. */
export async function lastDecision(
  nats: Nats,
  tenant: TenantId,
  id: RequestId,
): Promise<DecisionRecord | null> {
  const last = await lastMessage(nats, streams.decisions.name, subjects.decision(tenant, id));
  if (last === null) return null;
  const parsed = parseMessage(decisionRecord, last.data);
  return parsed.ok ? parsed.value : null;
}

/** Everything that is stored about a request of this tenant. */
export async function readStored(nats: Nats, tenant: TenantId, id: RequestId): Promise<Stored> {
  const [queued, decision, last, replies] = await Promise.all([
    lastMessage(nats, streams.requests.name, subjects.request('*', tenant, id)),
    lastDecision(nats, tenant, id),
    new EventLog(nats, tenant, id).last(),
    replay(nats, tenant, id),
  ]);
  const transcript = new Transcript();
  for (const reply of replies) transcript.accept(reply);
  return {
    // An assigned request leaves the request stream before an agent claims it.
    queued: queued !== null || decision?.kind === 'assign',
    last: last?.event ?? null,
    open: transcript.open,
    units: transcript.units,
  };
}
