import { isApiError, type Logger, type Nats } from '@drover/runtime';
import {
  clusterOf,
  parseMessage,
  type Report,
  report,
  requestIdOf,
  streams,
  subjects,
} from '@drover/schemas';

type OnReport = (report: Report, receivedAtMs: number) => void;

/** Hears every report from now on. One that does not parse, or speaks for another agent, is ignored. */
export function subscribeReports(nats: Nats, onReport: OnReport, log: Logger): void {
  nats.nc.subscribe(subjects.report('*', '*'), {
    callback: (error, message) => {
      if (error) return log.error({ error: error.message }, 'reports cannot be heard');
      const parsed = parseReport(message.subject, message.data);
      if (parsed) onReport(parsed, Date.now());
      else log.warn({ subject: message.subject }, 'report refused');
    },
  });
}

/**
 * Reads the last report of every agent. Each counts as received when the stream stored it, by the hub's clock: an agent
 * that died while we were away must not look alive. Live reports replace these within a second.
 */
export async function readLastReports(nats: Nats, onReport: OnReport): Promise<void> {
  const messages = await nats.jsm.direct.getLastMessagesFor(streams.reports.name, {
    multi_last: [subjects.report('*', '*')],
  });
  try {
    for await (const message of messages) {
      const parsed = parseReport(message.subject, message.data);
      if (parsed) onReport(parsed, Math.min(Date.now(), message.time.getTime()));
    }
  } catch (error) {
    if (!isApiError(error, noMessages)) throw error;
  }
}

/** Status of a direct read that matches nothing. */
const noMessages = 404;

function parseReport(subject: string, data: Uint8Array): Report | undefined {
  const parsed = parseMessage(report, data);
  if (!parsed.ok) return undefined;
  const { cluster, agent } = parsed.value;
  return clusterOf(subject) === cluster && requestIdOf(subject) === agent ? parsed.value : undefined;
}
