import type { Logger, Nats } from '@drover/runtime';
import { type AgentId, agentGone, type ClusterId, subjects, tokenOf } from '@drover/schemas';

/**
 * Hears from nats-servers which agents have lost their connection: a process that dies is known to be gone at once. A server
 * whose configuration lacks that (`natsUsersConfig` in schemas) leaves it to the reports, whose absence says the same a second later.
 */
export function subscribeDepartures(
  nats: Nats,
  onGone: (cluster: ClusterId, agent: AgentId) => void,
  log: Logger,
): void {
  nats.nc.subscribe(subjects.gone('*'), {
    callback: (error, message) => {
      if (error) return log.error({ error: error.message }, 'departures cannot be heard');
      const gone = agentGone(tokenOf(message.subject, 2), parse(message.string()));
      if (gone) onGone(gone.cluster, gone.agent);
    },
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
