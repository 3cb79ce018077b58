import { lastMessage, type Nats } from '@drover/runtime';
import { type RequestId, streams, subjects, type TenantId } from '@drover/schemas';
import { publishCancel } from './cancel.ts';
import { expire } from './expire.ts';
import { isQueued } from './queued.ts';
import { ReplyReader, type Submission } from './reader.ts';

export type FollowOptions = {
  readonly tenant: TenantId;
  readonly id: RequestId;
  /** The first unit wanted; 0 for the whole reply. */
  readonly from?: number;
  /** What the reader has of the units before, as `seenAfter` counts it: it must not get the rest of another reply. */
  readonly seen?: number;
  readonly deadlineAtMs?: number;
  readonly expireAs?: string;
  /** This connection may read decisions: what was assigned is then told from what nobody knows. */
  readonly readsDecisions?: boolean;
};

/** An id of which nothing is found within this time was never accepted, or too long ago. */
const unknownAfterMs = 3_000;

/** Attaches to a request that was submitted before. An id that nobody knows ends with `not_found`. */
export function follow(nats: Nats, options: FollowOptions): Submission {
  const { tenant, id, from, seen, deadlineAtMs, expireAs } = options;
  const reader = new ReplyReader(nats, {
    tenant,
    id,
    ...(from === undefined ? {} : { from }),
    ...(seen === undefined ? {} : { seen }),
    ...(deadlineAtMs === undefined ? {} : { deadlineAtMs }),
    ...(expireAs === undefined ? {} : { expire: () => expire(nats, expireAs, tenant, id) }),
  });
  reader.mend();
  endIfUnknown(nats, reader, options);
  return {
    id,
    duplicate: true,
    events: reader.events,
    bodyHash: () => reader.bodyHash,
    cancel: () => publishCancel(nats, tenant, id),
    close: () => reader.close(),
  };
}

/** Ends the reply with `not_found` once JetStream has said that it knows nothing of the request. */
function endIfUnknown(nats: Nats, reader: ReplyReader, options: FollowOptions): void {
  const { id } = options;
  const look = async () => {
    if (reader.known || reader.closed) return;
    // As long as JetStream can say nothing, the request may well be there.
    const alive = reader.hasLooked ? await isAlive(nats, options).catch(() => undefined) : undefined;
    if (alive || reader.known || reader.closed) return;
    if (alive === undefined) setTimeout(look, unknownAfterMs).unref();
    else
      reader.finish({ status: 'failed', code: 'not_found', message: `No request ${id} is known.`, units: 0 });
  };
  setTimeout(look, unknownAfterMs).unref();
}

/**
 * Whether a request without events waits somewhere: for a cluster, or as a job that no agent has claimed yet. Only a
 * decision tells of the second, and not everybody may read those.
 */
async function isAlive(nats: Nats, { tenant, id, readsDecisions }: FollowOptions): Promise<boolean> {
  if (await isQueued(nats, tenant, id)) return true;
  if (!readsDecisions) return false;
  return (await lastMessage(nats, streams.decisions.name, subjects.decision(tenant, id))) !== null;
}
