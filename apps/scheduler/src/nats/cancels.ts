import type { Logger, Nats } from '@drover/runtime';
import { type Cancel, cancel, parseMessage, subjects } from '@drover/schemas';

/** Hears readers that no longer want their requests. The subject must agree with the message; anything else is no command. */
export function subscribeCancels(nats: Nats, onCancel: (cancel: Cancel) => void, log: Logger): void {
  nats.nc.subscribe(subjects.cancel('*', '*'), {
    callback: (error, message) => {
      if (error) return log.error({ error: error.message }, 'cancels cannot be heard');
      const parsed = parseMessage(cancel, message.data);
      if (parsed.ok && subjects.cancel(parsed.value.tenant, parsed.value.id) === message.subject)
        onCancel(parsed.value);
      else log.warn({ subject: message.subject }, 'cancel refused');
    },
  });
}
