import { isCopied, type Logger, type Nats } from '@drover/runtime';
import {
  type Event,
  event,
  parseMessage,
  type RequestId,
  requestId,
  subjects,
  type TenantId,
  tenantId,
  tokenOf,
} from '@drover/schemas';

export type HeardEvent = {
  /** A cluster, or one of the reserved writers. */
  readonly writer: string;
  readonly tenant: TenantId;
  readonly id: RequestId;
  readonly event: Event;
};

/** Hears what becomes of every request. What is missed is made good by the reconciliation with LLM_JOBS. */
export function subscribeEvents(nats: Nats, onEvent: (heard: HeardEvent) => void, log: Logger): void {
  nats.nc.subscribe(subjects.event('*', '*', '*'), {
    callback: (error, message) => {
      if (error) return log.error({ error: error.message }, 'events cannot be heard');
      const parsed = parseMessage(event, message.data);
      const tenant = tenantId.safeParse(tokenOf(message.subject, 3));
      const id = requestId.safeParse(tokenOf(message.subject, 4));
      if (!parsed.ok || !tenant.success || !id.success || isCopied(message.headers))
        return log.warn({ subject: message.subject }, 'event refused');
      onEvent({
        writer: tokenOf(message.subject, 2),
        tenant: tenant.data,
        id: id.data,
        event: parsed.value,
      });
    },
  });
}
