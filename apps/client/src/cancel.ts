import type { Nats } from '@drover/runtime';
import { type Cancel, type RequestId, subjects, type TenantId } from '@drover/schemas';

/** Tells schedulers and agents that nobody wants the answer any more. Best effort: a lost one costs work, not truth. */
export function publishCancel(nats: Nats, tenant: TenantId, id: RequestId): void {
  const message: Cancel = { v: 1, type: 'cancel', tenant, id };
  nats.nc.publish(subjects.cancel(tenant, id), JSON.stringify(message));
}
