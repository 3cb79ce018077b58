import { z } from 'zod';
import type { Event } from './messages/event.ts';

/** How one attempt at a request ended. `lost`: its agent was not heard of again, or another one took over. */
export const attemptRecord = z.object({
  attempt: z.int().min(1),
  cluster: z.string(),
  agent: z.string(),
  startedAtMs: z.number(),
  /** Absent when nobody said that it had ended. */
  endedAtMs: z.number().optional(),
  reason: z.enum(['draining', 'backend-down', 'backend-failed', 'limited', 'lost']),
  message: z.string(),
});
export type AttemptRecord = z.infer<typeof attemptRecord>;

/** One event of a request, with who wrote it: a cluster or one of the reserved writers. */
export type WrittenEvent = { readonly writer: string; readonly event: Event };

/**
 * Pure. Every attempt of a request that ended without an outcome, oldest first.
 * @param events all events of the request, oldest first
 */
export function attemptsOf(events: readonly WrittenEvent[]): AttemptRecord[] {
  const attempts: AttemptRecord[] = [];
  for (const { writer, event: one } of events) {
    if (one.state === 'running') {
      attempts.push({
        attempt: one.attempt,
        cluster: writer,
        agent: one.agent,
        startedAtMs: one.atMs,
        reason: 'lost',
        message: 'its agent was not heard of again',
      });
    } else if (one.state === 'released') {
      const last = attempts.at(-1);
      const began = last?.agent === one.agent && last.attempt === one.attempt ? attempts.pop() : undefined;
      attempts.push({
        attempt: one.attempt,
        cluster: writer,
        agent: one.agent,
        startedAtMs: began?.startedAtMs ?? one.atMs,
        endedAtMs: one.atMs,
        reason: one.reason,
        message: one.message,
      });
    } else {
      const last = attempts.at(-1);
      // The attempt that brought the outcome is no failure.
      if (last?.reason === 'lost' && last.cluster === writer && last.attempt === one.attempt) attempts.pop();
    }
  }
  return attempts;
}

/** Attempts and words that one header carries: a dead letter must stay small whatever its backends said. */
const attemptsMax = 16;
const messageMax = 300;

/** Pure. Attempts as the value of a NATS header: one line of ASCII. The last ones, when there are very many. */
export const attemptsHeader = (attempts: readonly AttemptRecord[]): string =>
  JSON.stringify(
    attempts.slice(-attemptsMax).map((one) => ({ ...one, message: one.message.slice(0, messageMax) })),
  ).replace(/[^\x20-\x7e]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Pure. The attempts in a header; none when it is absent or not what we write. */
export function readAttemptsHeader(value: string | undefined): AttemptRecord[] {
  if (!value) return [];
  try {
    const parsed = z.array(attemptRecord).safeParse(JSON.parse(value));
    return parsed.success ? parsed.data : [];
  } catch {
    return [];
  }
}
