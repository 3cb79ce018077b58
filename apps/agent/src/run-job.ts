import { readMetered } from '@drover/runtime';
import { type Job, jobConsumer, subjects } from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';
import { Attempt } from './attempt.ts';
import type { Workplace } from './context.ts';
import type { Call } from './core/call.ts';
import { continuationOf } from './core/continuation.ts';
import { liveFlush, quietFlush } from './core/flush.ts';
import { judge, type Verdict } from './core/ownership.ts';
import { RequestEvents } from './nats/events.ts';
import { History } from './nats/history.ts';
import { ReplyWriter } from './nats/reply-writer.ts';
import { type Ending, produce, soFar } from './produce.ts';
import { endExhausted, type Settled, settle } from './settle.ts';
import { superviseAttempt } from './supervise.ts';

/** Others claim the same request at the same moment: rare, and it never takes many turns. */
const turnsMax = 5;

/**
 * The life of one job: judge what the events say, claim, let llama.cpp answer, say it, commit, say the end.
 * @returns what is to be done with the message. @throws when JetStream stays away, or on a bug
 */
export async function runJob(place: Workplace, message: JsMsg, job: Job): Promise<Settled> {
  const receivedMs = performance.now();
  const { ackWaitMs } = jobConsumer(job.cluster);
  const events = new RequestEvents(
    place.nats,
    job,
    message.seq,
    message.headers?.get('traceparent') || undefined,
  );
  if (await runsHere(place, events, job)) return { kind: 'leave', outcome: 'runs-here' };
  // A first delivery of a first attempt has no history, unless something went wrong: the claim will tell.
  const fresh = job.attempt === 1 && message.info.deliveryCount === 1;
  const history = new History(place.nats, job.request.tenant, job.request.id);
  if (!fresh) history.prepare();
  let last = fresh ? null : await events.last();
  for (let turn = 0; turn < turnsMax; turn++) {
    const verdict = judge(job, message.seq, last);
    if (verdict.kind === 'drop') return { kind: 'ack', outcome: verdict.why };
    const settled =
      verdict.kind === 'exhausted'
        ? await endExhausted(place, events, message, job, verdict)
        : await tryOnce(place, events, message, job, verdict, receivedMs, history);
    if (settled !== 'contended') return settled;
    last = await events.last();
    if (last?.event.state === 'running' && performance.now() - receivedMs > ackWaitMs) {
      // So late that the job was delivered again: that owner is the right one.
      return { kind: 'leave', outcome: 'superseded' };
    }
  }
  return { kind: 'nak', delayMs: 1_000, outcome: 'contended' };
}

/**
 * A hub that was restarted delivers again what it had delivered. The attempt that is under way keeps the job: its ack
 * counts for this delivery too.
 */
async function runsHere({ running }: Workplace, events: RequestEvents, job: Job): Promise<boolean> {
  const mine = running.find(job.request.tenant, job.request.id);
  if (mine === undefined || mine.stopped !== undefined) return false;
  return mine.fence === undefined ? mine.job.attempt === job.attempt : events.isOwner(mine.fence);
}

type Claim = Extract<Verdict, { kind: 'claim' }>;

async function tryOnce(
  place: Workplace,
  events: RequestEvents,
  message: JsMsg,
  job: Job,
  claim: Claim,
  receivedMs: number,
  history: History,
): Promise<Settled | 'contended'> {
  const call = place.engine.plan(job.request);
  const attempt = new Attempt({
    job,
    number: claim.attempt,
    mode: call.mode,
    events,
    writer: writerFor(place, job),
    receivedMs,
  });
  place.running.add(attempt);
  using _supervision = superviseAttempt(place, attempt, message);
  try {
    const claiming = claimAttempt(place, attempt, claim);
    const ending = claim.prior
      ? await takeOver(place, attempt, call, claiming, history)
      : await produceWhile(place, attempt, call, claiming);
    if (ending === 'contended' || attempt.fence === undefined) return 'contended';
    return await settle(place, attempt, attempt.fence, ending);
  } finally {
    if (attempt.writer.isComplete) place.saidLately.keep(attempt);
    else attempt.writer.mute();
    place.running.delete(attempt);
  }
}

/** Resolves to whether the claim stands. From then on the attempt speaks. */
async function claimAttempt(place: Workplace, attempt: Attempt, { expect, prior }: Claim): Promise<boolean> {
  const fence = await attempt.events.write(
    { v: 1, state: 'running', agent: place.agent, attempt: attempt.number, atMs: Date.now() },
    expect,
  );
  if (fence === null) return false;
  attempt.fence = fence;
  attempt.writer.own(fence, prior);
  return true;
}

/** Nobody was here before: llama.cpp starts while the claim is under way. */
async function produceWhile(
  place: Workplace,
  attempt: Attempt,
  call: Call,
  claiming: Promise<boolean>,
): Promise<Ending | 'contended'> {
  claiming.then(
    (stands) => stands || attempt.stop('superseded'),
    () => attempt.stop('superseded'),
  );
  const ending = await produce(place, attempt, call);
  return (await claiming) ? ending : 'contended';
}

/** Somebody was here before: find out what was said, and go on from there. */
async function takeOver(
  place: Workplace,
  attempt: Attempt,
  call: Call,
  claiming: Promise<boolean>,
  history: History,
): Promise<Ending | 'contended'> {
  if (!(await claiming) || attempt.fence === undefined) return 'contended';
  const { tenant, id } = attempt.job.request;
  const replies = await history.upTo(attempt.fence);
  const continuation = continuationOf(replies, { mode: call.mode, modelHash: place.backend.model.hash });
  if (continuation.kind !== 'start')
    attempt.earlier = continuation.earlier ?? (await readMetered(place.nats, tenant, id));
  switch (continuation.kind) {
    case 'impossible':
      return {
        kind: 'ended',
        outcome: {
          status: 'failed',
          code: 'continuation_impossible',
          message: continuation.message,
          ...soFar(attempt),
        },
      };
    case 'continue':
      attempt.writer.continueFrom(continuation.units);
      break;
    case 'start':
      break;
  }
  return produce(place, attempt, call);
}

function writerFor({ nats, config }: Workplace, job: Job): ReplyWriter {
  const subject = subjects.reply(job.cluster, job.request.tenant, job.request.id);
  const streamed = 'stream' in job.request.body && job.request.body.stream === true;
  return new ReplyWriter({
    publish: (data) => nats.nc.publish(subject, data),
    policy: streamed ? liveFlush(config.FLUSH_MS) : quietFlush,
    nowMs: () => performance.now(),
  });
}
