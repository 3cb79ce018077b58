import { z } from 'zod';
import type { StreamDefinition } from './streams.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const mib = 1024 * 1024;

const whole = z.int().positive();

/** How long a deployment keeps what it may one day be asked about, in ms, and how much of it at most, in bytes. */
export const retention = z.object({
  repliesMs: whole,
  repliesBytes: whole,
  eventsMs: whole,
  decisionsMs: whole,
  decisionsBytes: whole,
  ledgerMs: whole,
  deadLettersMs: whole,
  deadLettersBytes: whole,
});
export type Retention = Readonly<z.infer<typeof retention>>;

export const defaultRetention: Retention = {
  repliesMs: 10 * minuteMs,
  repliesBytes: 512 * mib,
  eventsMs: dayMs,
  decisionsMs: dayMs,
  decisionsBytes: 1024 * mib,
  // A month of a budget, whichever month it is, and a day for those who look at it afterwards.
  ledgerMs: 32 * dayMs,
  deadLettersMs: 7 * dayMs,
  deadLettersBytes: 1024 * mib,
};

/** The longest month: budgets of a month are sums over the ledger. */
const monthMs = 31 * dayMs;
/** A reply of the largest size, of every slot of a large fleet, at once. */
const repliesBytesMin = 64 * mib;

/** What is wrong with a retention; `code` is stable. */
export type RetentionProblem = {
  readonly code:
    | 'events_shorter_than_replies'
    | 'events_shorter_than_deadline'
    | 'decisions_shorter_than_deadline'
    | 'ledger_shorter_than_month'
    | 'replies_too_small';
  readonly setting: keyof Retention;
  readonly message: string;
};

/**
 * Pure. Everything that would break a promise of docs/failures.md, in the order of the settings; none when it can be used.
 * @param deadlineMaxMs the longest that a request may take
 */
export function retentionProblems(given: Retention, deadlineMaxMs: number): RetentionProblem[] {
  const problems: (RetentionProblem | false)[] = [
    given.repliesBytes < repliesBytesMin && {
      code: 'replies_too_small',
      setting: 'repliesBytes',
      message: `replies of running requests would push each other out; keep at least ${repliesBytesMin / mib} MiB`,
    },
    given.eventsMs < given.repliesMs && {
      code: 'events_shorter_than_replies',
      setting: 'eventsMs',
      message:
        'tokens would be there of a request whose outcome is forgotten; keep events as long as replies',
    },
    given.eventsMs <= deadlineMaxMs && {
      code: 'events_shorter_than_deadline',
      setting: 'eventsMs',
      message:
        'the owner of a long request would be forgotten while it runs, and the request run twice; keep events longer than the longest deadline',
    },
    given.decisionsMs <= deadlineMaxMs && {
      code: 'decisions_shorter_than_deadline',
      setting: 'decisionsMs',
      message:
        'a request that waits for its agent would be told that nobody knows it; keep decisions longer than the longest deadline',
    },
    given.ledgerMs < monthMs && {
      code: 'ledger_shorter_than_month',
      setting: 'ledgerMs',
      message: 'budgets of a month would forget what was spent at its beginning; keep at least 31 days',
    },
  ];
  return problems.filter((problem) => problem !== false);
}

/** Where bootstrap leaves the retention on LLM_JOBS, for those who have to make a stream again. */
const metadataKey = 'drover.retention';

export const retentionMetadata = (given: Retention): Readonly<Record<string, string>> => ({
  [metadataKey]: JSON.stringify(given),
});

/** What bootstrap has left there; the default where it has left nothing that parses. */
export function retentionIn(metadata: Readonly<Record<string, string>> | undefined): Retention {
  const text = metadata?.[metadataKey];
  if (text === undefined) return defaultRetention;
  try {
    return retention.parse(JSON.parse(text));
  } catch {
    return defaultRetention;
  }
}

/** The limits of each stream that a retention sets, by the stream's name; a stream that is not named keeps its own. */
export const limitsOf = (
  given: Retention,
): Readonly<Record<string, Pick<StreamDefinition, 'maxAgeMs' | 'maxBytes' | 'metadata'>>> => ({
  LLM_JOBS: { metadata: retentionMetadata(given) },
  LLM_REPLIES: { maxAgeMs: given.repliesMs, maxBytes: given.repliesBytes },
  LLM_EVENTS: { maxAgeMs: given.eventsMs },
  LLM_DECISIONS: { maxAgeMs: given.decisionsMs, maxBytes: given.decisionsBytes },
  LLM_LEDGER: { maxAgeMs: given.ledgerMs },
  LLM_DLQ: { maxAgeMs: given.deadLettersMs, maxBytes: given.deadLettersBytes },
});

/** The stream as a deployment with this retention has it. */
export const withRetention = (stream: StreamDefinition, given: Retention): StreamDefinition => ({
  ...stream,
  ...limitsOf(given)[stream.name],
});
