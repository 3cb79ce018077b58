import { setTimeout as sleep } from 'node:timers/promises';
import { JetStreamApiError } from '@nats-io/jetstream';
import { NoRespondersError, RequestError, TimeoutError } from 'nats';
import type { Logger } from './log.ts';
import type { Nats } from './nats.ts';

const retryMs = 500;

/**
 * Does `action` again and again until JetStream is there to answer it: for what a process needs before it can begin, and
 * cannot be refused. Each try that was in vain is logged. @throws what is no lack of an answer, and when the connection is closed
 */
export async function untilThere<T>(
  nats: Nats,
  log: Logger,
  what: string,
  action: () => Promise<T>,
): Promise<T> {
  while (true) {
    try {
      return await action();
    } catch (error) {
      if (!isUnanswered(error) || nats.nc.isClosed()) throw error;
      log.warn({ what, error: String(error) }, 'JetStream does not answer, will be tried again');
      await sleep(retryMs);
    }
  }
}

/** True when nobody answered, or who did has no leader to ask: not when somebody refused. */
export const isUnanswered = (error: unknown): boolean =>
  error instanceof TimeoutError ||
  error instanceof NoRespondersError ||
  // The library keeps this class to itself; it is what it makes of a stream without a leader.
  (error instanceof Error && error.name === 'JetStreamNotEnabled') ||
  (error instanceof RequestError && isUnanswered(error.cause)) ||
  (error instanceof JetStreamApiError && error.status === 503);
