import type { Logger, Nats } from '@drover/runtime';
import { cancel, parseMessage, subjects } from '@drover/schemas';

/** Calls `onCancel` for every reader that gave up. What is not a cancel message of its own subject is ignored. */
export function followCancels(nats: Nats, log: Logger, onCancel: (tenant: string, id: string) => void): void {
  nats.nc.subscribe(subjects.cancel('*', '*'), {
    callback: (error, message) => {
      if (error) {
        log.error({ error: error.message }, 'cancel subscription failed');
        return;
      }
      const parsed = parseMessage(cancel, message.data);
      if (!parsed.ok || subjects.cancel(parsed.value.tenant, parsed.value.id) !== message.subject) {
        log.warn({ subject: message.subject }, 'not a cancel message');
        return;
      }
      onCancel(parsed.value.tenant, parsed.value.id);
    },
  });
}
