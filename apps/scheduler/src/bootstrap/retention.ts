import { type Retention, retentionProblems } from '@drover/schemas';
import type { RetentionEnv } from '../config.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const mib = 1024 * 1024;

/** The variable that says each part of the retention, and what one of its units is. */
const settings = {
  repliesMs: ['REPLIES_KEPT_MINUTES', minuteMs],
  repliesBytes: ['REPLIES_MAX_MIB', mib],
  eventsMs: ['EVENTS_KEPT_HOURS', hourMs],
  decisionsMs: ['DECISIONS_KEPT_HOURS', hourMs],
  decisionsBytes: ['DECISIONS_MAX_MIB', mib],
  ledgerMs: ['LEDGER_KEPT_DAYS', dayMs],
  deadLettersMs: ['DEAD_LETTERS_KEPT_DAYS', dayMs],
  deadLettersBytes: ['DEAD_LETTERS_MAX_MIB', mib],
} as const satisfies Record<keyof Retention, readonly [keyof RetentionEnv, number]>;

/** Pure. What the environment chooses, and every reason why it must not be used, as `<variable>: <code>: <sentence>`. */
export function chosenRetention(env: RetentionEnv): { retention: Retention; problems: string[] } {
  const of = (part: keyof Retention): number => env[settings[part][0]] * settings[part][1];
  const retention: Retention = {
    repliesMs: of('repliesMs'),
    repliesBytes: of('repliesBytes'),
    eventsMs: of('eventsMs'),
    decisionsMs: of('decisionsMs'),
    decisionsBytes: of('decisionsBytes'),
    ledgerMs: of('ledgerMs'),
    deadLettersMs: of('deadLettersMs'),
    deadLettersBytes: of('deadLettersBytes'),
  };
  const problems = retentionProblems(retention, env.DEADLINE_MAX_MS).map(
    ({ code, setting, message }) => `${settings[setting][0]}: ${code}: ${message}`,
  );
  return { retention, problems };
}
