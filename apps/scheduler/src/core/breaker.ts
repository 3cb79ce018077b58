import type { Policy } from '@drover/schemas';
import type { Admission } from './types.ts';

type Rules = Policy['breaker'];
type Outcome = { readonly atMs: number; readonly ok: boolean };

/** Outcomes remembered for the failure fraction; more would not change the verdict. */
const recentMax = 200;

/**
 * One per cluster. States and transitions:
 *
 *     closed ──(failures in a row, or too large a fraction of recent ones)──► open
 *     open ──(openMs × openings in a row, at most openMaxMs)──► half-open
 *     half-open ──(a failure)──► open          half-open ──(successesToClose)──► closed
 *
 * Failures are what the cluster itself did wrong: a backend that failed while it ran a job, jobs in flight at agents that
 * fell silent. Booting, draining, being at zero or down are states that a report tells, not failures.
 */
export type Breaker =
  | { readonly state: 'closed'; readonly failuresInARow: number; readonly recent: readonly Outcome[] }
  | { readonly state: 'open'; readonly untilMs: number; readonly opens: number }
  | { readonly state: 'half-open'; readonly successes: number; readonly opens: number };

export const closedBreaker: Breaker = { state: 'closed', failuresInARow: 0, recent: [] };

/** Lets time pass: an open breaker whose time is up becomes half-open. */
export const passTime = (breaker: Breaker, nowMs: number): Breaker =>
  breaker.state === 'open' && nowMs >= breaker.untilMs
    ? { state: 'half-open', successes: 0, opens: breaker.opens }
    : breaker;

/** Takes the outcome of one job in. Outcomes that arrive while it is open belong to the time before. */
export function observe(breaker: Breaker, ok: boolean, rules: Rules, nowMs: number): Breaker {
  switch (breaker.state) {
    case 'open':
      return breaker;
    case 'half-open':
      if (!ok) return opened(breaker.opens + 1, rules, nowMs);
      return breaker.successes + 1 >= rules.successesToClose
        ? closedBreaker
        : { ...breaker, successes: breaker.successes + 1 };
    case 'closed': {
      const failuresInARow = ok ? 0 : breaker.failuresInARow + 1;
      const recent = [
        ...breaker.recent.filter(({ atMs }) => nowMs - atMs < rules.windowMs),
        { atMs: nowMs, ok },
      ];
      if (!ok && (failuresInARow >= rules.consecutiveFailures || tooMany(recent, rules)))
        return opened(1, rules, nowMs);
      return { state: 'closed', failuresInARow, recent: recent.slice(-recentMax) };
    }
    default:
      return breaker satisfies never;
  }
}

const opened = (opens: number, { openMs, openMaxMs }: Rules, nowMs: number): Breaker => ({
  state: 'open',
  untilMs: nowMs + Math.min(openMs * opens, openMaxMs),
  opens,
});

function tooMany(recent: readonly Outcome[], { minRequests, failureFraction }: Rules): boolean {
  if (recent.length < minRequests) return false;
  return recent.filter(({ ok }) => !ok).length / recent.length >= failureFraction;
}

/** Whether the next job may go there. Half-open lets one job at a time through, as a probe. */
export function admission(breaker: Breaker, load: number, nowMs: number): Admission {
  switch (breaker.state) {
    case 'closed':
      return { allowed: true, detail: '', opens: 0 };
    case 'open': {
      const seconds = Math.ceil((breaker.untilMs - nowMs) / 1_000);
      return { allowed: false, detail: `failed too often; probed in ${seconds} s`, opens: breaker.opens };
    }
    case 'half-open':
      return { allowed: load === 0, detail: 'one probe at a time is running', opens: breaker.opens };
    default:
      return breaker satisfies never;
  }
}
