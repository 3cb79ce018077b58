import { EventLog } from '@drover/runtime';
import {
  parseMessage,
  type Request,
  type RequestId,
  request as requestSchema,
  streams,
  subjects,
  type TenantId,
} from '@drover/schemas';
import { deleteMessage, readJob } from '../nats/jobs.ts';
import { commitOutcome } from '../nats/outcomes.ts';
import { end } from './end.ts';
import type { Parts } from './parts.ts';

/** A reader does not want its request any more. What an agent runs, the agent ends. */
export function cancel(parts: Parts, tenant: TenantId, id: RequestId): void {
  const { state, underway } = parts;
  const waiting = state.queue.get(id);
  if (waiting?.request.tenant === tenant) end(parts, waiting, { status: 'cancelled', units: 0 });
  else if (state.ledger.get(id)?.state !== 'running') underway.run(() => cancelUnstarted(parts, tenant, id));
}

async function cancelUnstarted(parts: Parts, tenant: TenantId, id: RequestId): Promise<void> {
  const stored = await findUnstarted(parts, tenant, id);
  if (!stored || !(await commitCancelled(parts, tenant, id, stored.request))) return;
  parts.held.ack(id);
  parts.state.ledger.ended(id, Date.now());
  await deleteMessage(parts.nats, stored.stream, stored.seq);
}

/** The message of a request that waits in a stream: assigned but not started, or beyond the planning window. */
async function findUnstarted(
  { nats }: Parts,
  tenant: TenantId,
  id: RequestId,
): Promise<{ stream: string; seq: number; request: Request | undefined } | undefined> {
  const job = await readJob(nats, id);
  if (job) {
    const { request } = job.job;
    return request.tenant === tenant ? { stream: streams.jobs.name, seq: job.seq, request } : undefined;
  }
  const message = await nats.jsm.direct.getMessage(streams.requests.name, {
    last_by_subj: subjects.request('*', tenant, id),
  });
  if (message === null) return undefined;
  const parsed = parseMessage(requestSchema, message.data);
  return {
    stream: streams.requests.name,
    seq: message.seq,
    request: parsed.ok ? parsed.value : undefined,
  };
}

/** Each loss means that something happened to the request meanwhile; hardly anything can happen this often. */
const roundsMax = 3;

/**
 * An agent may claim at the same moment. Whether it has heard the cancel, nobody knows; the outcome is then committed over
 * its claim, which fences it out.
 */
async function commitCancelled(
  { nats }: Parts,
  tenant: TenantId,
  id: RequestId,
  request: Request | undefined,
): Promise<boolean> {
  for (let round = 0; round < roundsMax; round++) {
    const last = await new EventLog(nats, tenant, id).last();
    if (last?.event.state === 'ended') return false;
    const committed = await commitOutcome(nats, {
      tenant,
      id,
      attempt: last?.event.attempt ?? 0,
      eventSeq: last?.seq ?? 0,
      outcome: { status: 'cancelled', units: 0 },
      request,
    });
    if (committed) return true;
  }
  return false;
}
