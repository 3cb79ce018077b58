import type { ErrorEnvelope } from './errors.ts';

/** Server-sent events, as text. `data` never holds a line break: JSON escapes them. */
export const event = (data: string): string => `data: ${data}\n\n`;

/** An event that a reader can come back to: `Last-Event-ID` is then the number of units it has. */
export const numbered = (unitsSoFar: number, data: string): string => `id: ${unitsSoFar}\ndata: ${data}\n\n`;

/**
 * A comment: ignored by every reader, and keeps proxies from closing a quiet connection. For people who look, it says how
 * long the wait for a cluster will last, when anybody knows.
 */
export const keepalive = (etaMs?: number): string =>
  etaMs === undefined
    ? ': waiting\n\n'
    : `: waiting for a cluster, about ${Math.max(1, Math.round(etaMs / 1_000))} s\n\n`;

/** OpenAI's last event of a complete answer. A failed answer ends without it. */
export const done = event('[DONE]');

export const errorEvent = (error: ErrorEnvelope): string => event(JSON.stringify(error));

/**
 * Units that a reader already has, from its `Last-Event-ID`; undefined when that is no number of units.
 * Without the header the reader has none.
 */
export function unitsFromLastEventId(value: string | undefined): number | undefined {
  if (value === undefined || value === '') return 0;
  return /^\d{1,9}$/.test(value) ? Number(value) : undefined;
}
