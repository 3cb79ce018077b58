import { nothingSeen } from '@drover/schemas';
import type { ErrorEnvelope } from './errors.ts';

/** Server-sent events, as text. `data` never holds a line break: JSON escapes them. */
export const event = (data: string): string => `data: ${data}\n\n`;

/** How many units a reader has, and what they were (`seenAfter`); that is undefined where it did not say. */
export type Seen = { readonly units: number; readonly digest: number | undefined };

/** An event that a reader can come back to: `Last-Event-ID` then says what it has. */
export const numbered = ({ units, digest }: Seen, data: string): string =>
  `id: ${units}${digest === undefined ? '' : `-${digest.toString(36)}`}\ndata: ${data}\n\n`;

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
 * What a reader already has, from its `Last-Event-ID`; undefined when no event of ours has that id. Without the header the
 * reader has nothing. A number alone is taken at its word.
 */
export function seenFromLastEventId(value: string | undefined): Seen | undefined {
  if (value === undefined || value === '') return { units: 0, digest: nothingSeen };
  const [, units, digest] = /^(\d{1,9})(?:-([0-9a-z]{1,7}))?$/.exec(value) ?? [];
  if (units === undefined) return undefined;
  return { units: Number(units), digest: digest === undefined ? undefined : Number.parseInt(digest, 36) };
}
