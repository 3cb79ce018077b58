import type { Nats } from '@drover/runtime';
import { lastMessage } from '@drover/runtime';
import { type RequestId, streams, subjects, type TenantId } from '@drover/schemas';
import { publishCancel } from './cancel.ts';
import { expire } from './expire.ts';
import { ReplyReader, type Submission } from './reader.ts';

export type FollowOptions = {
  readonly tenant: TenantId;
  readonly id: RequestId;
  /** The first unit wanted; 0 for the whole reply. */
  readonly from?: number;
  readonly deadlineAtMs?: number;
  readonly expireAs?: string;
};

/** An id of which nothing is found within this time was never accepted, or too long ago. */
const unknownAfterMs = 3_000;

/** Attaches to a request that was submitted before. An id that nobody knows ends with `not_found`. */
export function follow(nats: Nats, options: FollowOptions): Submission {
  const { tenant, id, from, deadlineAtMs, expireAs } = options;
  const reader = new ReplyReader(nats, {
    tenant,
    id,
    ...(from === undefined ? {} : { from }),
    ...(deadlineAtMs === undefined ? {} : { deadlineAtMs }),
    ...(expireAs === undefined ? {} : { expire: () => expire(nats, expireAs, tenant, id) }),
  });
  reader.mend();
  setTimeout(async () => {
    if (reader.known) return;
    const queued = await lastMessage(nats, streams.requests.name, subjects.request('*', tenant, id)).catch(
      () => null,
    );
    if (queued !== null || reader.known) return;
    reader.finish({ status: 'failed', code: 'not_found', message: `No request ${id} is known.`, units: 0 });
  }, unknownAfterMs).unref();
  return {
    id,
    duplicate: true,
    events: reader.events,
    bodyHash: () => reader.bodyHash,
    cancel: () => publishCancel(nats, tenant, id),
    close: () => reader.close(),
  };
}
