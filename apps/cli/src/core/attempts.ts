import type { AttemptRecord, WrittenEvent } from '@drover/schemas';
import { table } from './table.ts';
import { duration, moment } from './words.ts';

/** Pure. Attempts that failed, one a line. */
export const attemptsTable = (attempts: readonly AttemptRecord[]): string =>
  table(
    ['attempt', 'cluster', 'agent', 'began', 'after', 'ended', 'because'],
    attempts.map(({ attempt, cluster, agent, startedAtMs, endedAtMs, reason, message }) => [
      String(attempt),
      cluster,
      agent,
      moment(startedAtMs),
      endedAtMs === undefined ? undefined : duration(Math.max(0, endedAtMs - startedAtMs)),
      reason,
      message,
    ]),
  );

/** Pure. How the request stands now. */
export function outcomeLine(events: readonly WrittenEvent[]): string {
  const last = events.at(-1);
  if (last === undefined) return 'No cluster has begun with it yet.';
  const { event, writer } = last;
  switch (event.state) {
    case 'running':
      return `It runs at ${writer} (attempt ${event.attempt}).`;
    case 'released':
      return `${writer} has given it back (${event.reason}); it waits for another cluster.`;
    case 'ended': {
      const { outcome } = event;
      if (outcome.status === 'done') return `It is done: ${outcome.units} units, ended by ${outcome.finish}.`;
      if (outcome.status === 'cancelled') return 'It was cancelled.';
      return `It failed: ${outcome.code} (${outcome.message}).`;
    }
  }
}
