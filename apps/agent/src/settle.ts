import { setTimeout as sleep } from 'node:timers/promises';
import { type Nats, readMetered } from '@drover/runtime';
import { accountOf, type Job, type Outcome, type Reply, subjects } from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';
import type { Attempt } from './attempt.ts';
import type { Workplace } from './context.ts';
import type { Verdict } from './core/ownership.ts';
import { countTokens } from './metrics.ts';
import { writeDeadLetter } from './nats/dead-letters.ts';
import type { RequestEvents } from './nats/events.ts';
import type { Ending } from './produce.ts';

/**
 * What is to be done with the job's message. `leave`: it belongs to another owner, who will ack it. `outcome` is a
 * word for the metrics.
 */
export type Settled =
  | { readonly kind: 'ack' | 'leave'; readonly outcome: string }
  | { readonly kind: 'nak'; readonly delayMs: number; readonly outcome: string };

/** Long enough for a scheduler to move the job, short enough when there is nowhere to move it to. */
const releasedDelayMs = 5_000;
/** Longer than three nats-servers need for an election (4 to 9 s) after one of them died. */
const bufferAwayMaxMs = 15_000;

/** Commits how an attempt ended, if it still owns the request, and says so. */
export async function settle(
  place: Workplace,
  attempt: Attempt,
  fence: number,
  ending: Ending,
): Promise<Settled> {
  attempt.settling = true;
  switch (ending.kind) {
    case 'lost':
      return lost(place, attempt);
    case 'ended':
      return commit(place, attempt, fence, ending.outcome);
    case 'released':
      return release(place, attempt, fence, ending);
  }
}

async function commit(place: Workplace, attempt: Attempt, fence: number, outcome: Outcome): Promise<Settled> {
  attempt.writer.flush();
  const stored = await confirmStored(place.nats, attempt, fence);
  const metered = attempt.metered(outcome);
  const event = {
    v: 1,
    state: 'ended',
    attempt: attempt.number,
    atMs: Date.now(),
    outcome,
    ...accountOf(attempt.job.request),
    ...(metered === undefined ? {} : { metered }),
    ...ttftOf(attempt),
  } as const;
  if ((await attempt.events.write(event, fence)) === null) return lost(place, attempt);
  // A store that was full has room again by now, or this would not have been written.
  if (!stored) attempt.writer.repeat();
  attempt.writer.end(outcome);
  countTokens(place.metrics, outcome.usage);
  place.metrics.duration.observe((performance.now() - attempt.receivedMs) / 1_000);
  return { kind: 'ack', outcome: outcome.status === 'failed' ? outcome.code : outcome.status };
}

/** The client's first token is this attempt's only if no other has said anything; slices of a body are no tokens. */
function ttftOf({ mode, earlier, firstMs, receivedMs }: Attempt): { ttftMs?: number } {
  if (mode === 'body' || earlier?.length !== 0 || firstMs === undefined) return {};
  return { ttftMs: Math.max(0, firstMs - receivedMs) };
}

async function release(
  place: Workplace,
  attempt: Attempt,
  fence: number,
  { reason, message }: Extract<Ending, { kind: 'released' }>,
): Promise<Settled> {
  // Before the event: who goes on from here reads what was said only after it has claimed.
  attempt.writer.flush();
  const metered = attempt.meteredSoFar;
  const written = await attempt.events.write(
    {
      v: 1,
      state: 'released',
      agent: place.agent,
      attempt: attempt.number,
      atMs: Date.now(),
      reason,
      message,
      ...(metered === undefined ? {} : { metered }),
    },
    fence,
  );
  if (written === null) return lost(place, attempt);
  place.metrics.releases.inc({ reason });
  place.log.warn(
    { request: attempt.job.request.id, attempt: attempt.number, reason, message },
    'job released',
  );
  return { kind: 'nak', delayMs: releasedDelayMs, outcome: 'released' };
}

/**
 * Resolves when the replay buffer holds what was said: an outcome must not count units that nobody can read again. They were
 * published plainly, so one acknowledged message tells that all before it were stored; when it is not acknowledged at once,
 * the stream had no leader, some of them were not, and all are said again. A buffer that stays away is not waited for.
 * @returns false when it stayed away
 */
async function confirmStored({ js }: Nats, { job, writer }: Attempt, fence: number): Promise<boolean> {
  const { tenant, id } = job.request;
  const claim: Reply = { v: 1, k: 'claim', f: fence };
  const giveUpAtMs = Date.now() + bufferAwayMaxMs;
  let doubtful = false;
  while (Date.now() < giveUpAtMs) {
    try {
      await js.publish(subjects.reply(job.cluster, tenant, id), JSON.stringify(claim), { timeout: 1_500 });
      if (!doubtful) return true;
      doubtful = false;
      writer.repeat();
    } catch {
      doubtful = true;
      await sleep(100 + Math.random() * 200);
    }
  }
  return false;
}

/** Another owner took over, and will ack; only a request that is over needs nobody's job any more. */
async function lost(place: Workplace, attempt: Attempt): Promise<Settled> {
  attempt.writer.mute();
  place.metrics.claimsLost.inc();
  const ended = (await attempt.events.last())?.event.state === 'ended';
  return { kind: ended ? 'ack' : 'leave', outcome: 'superseded' };
}

/** Ends a request that too many owners have failed at, without running it, and keeps the job as evidence. */
export async function endExhausted(
  place: Workplace,
  events: RequestEvents,
  message: JsMsg,
  job: Job,
  { attempt, expect, message: text }: Extract<Verdict, { kind: 'exhausted' }>,
): Promise<Settled | 'contended'> {
  const { tenant, id } = job.request;
  const outcome: Outcome = { status: 'failed', code: 'attempts_exhausted', message: text, units: 0 };
  const attempts = await events.attempts();
  await writeDeadLetter(place.nats, message, { reason: outcome.code, problem: text, attempts }, id);
  const metered = await readMetered(place.nats, tenant, id);
  const ended = { v: 1, state: 'ended', attempt, atMs: Date.now(), outcome } as const;
  const account = { ...accountOf(job.request), ...(metered === undefined ? {} : { metered }) };
  const f = await events.write({ ...ended, ...account }, expect);
  if (f === null) return 'contended';
  const end: Reply = { v: 1, k: 'end', f, outcome };
  place.nats.nc.publish(subjects.reply(job.cluster, tenant, id), JSON.stringify(end));
  place.metrics.deadLetters.inc({ reason: outcome.code });
  return { kind: 'ack', outcome: outcome.code };
}
