import { setTimeout as sleep } from 'node:timers/promises';
import { follow, type Submission, submit } from '@drover/client';
import type { Nats } from '@drover/runtime';
import { DroverError, type Outcome } from '@drover/schemas';
import type { Attachment, ClientRecord } from './history.ts';
import { tenant } from './seeds.ts';
import { type Ask, bodyOf } from './workload.ts';

const retryMs = 60;
const giveUpEveryMs = 500;

/** Asks as a producer on NATS: submits, follows, and perhaps leaves and comes back by the id of its request. */
export async function askOverNats(
  nats: Nats,
  ask: Ask,
  record: ClientRecord,
  giveUpAtMs: () => number,
): Promise<void> {
  while (record.end === undefined && Date.now() < giveUpAtMs()) {
    const from = (record.heard.at(-1)?.at ?? -1) + 1;
    const attachment: Attachment = { atMs: Date.now(), via: 'nats', from };
    try {
      const submission =
        record.acceptedAtMs === undefined
          ? await submit(nats, requestOf(ask, record.sentAtMs))
          : follow(nats, { tenant, id: ask.id, from });
      record.acceptedAtMs ??= Date.now();
      record.attachments.push(attachment);
      const closing = setInterval(() => {
        if (Date.now() >= giveUpAtMs()) submission.close();
      }, giveUpEveryMs);
      await read(submission, ask, record, attachment).finally(() => clearInterval(closing));
    } catch (error) {
      if (!(error instanceof DroverError)) throw error;
      if (error.code === 'unavailable' || error.code === 'queue_full') await sleep(retryMs);
      else record.end = { status: 'failed', code: error.code, atMs: Date.now() };
    }
  }
}

const requestOf = (ask: Ask, sentAtMs: number) => ({
  v: 1 as const,
  id: ask.id,
  tenant,
  submittedAtMs: sentAtMs,
  deadlineAtMs: sentAtMs + ask.deadlineMs,
  endpoint: 'chat' as const,
  body: bodyOf(ask),
});

async function read(
  submission: Submission,
  ask: Ask,
  record: ClientRecord,
  attachment: Attachment,
): Promise<void> {
  let cancelled = false;
  for await (const event of submission.events) {
    if (event.kind === 'end') {
      record.end = endOf(event.outcome);
      attachment.closed = 'ended';
    }
    if (event.kind !== 'units') continue;
    const atMs = Date.now();
    for (const [index, unit] of event.units.entries())
      record.heard.push({
        atMs,
        at: event.at + index,
        t: unit.k === 'delta' ? deltaText(unit.choices) : unit.t,
      });
    const has = event.at + event.units.length;
    if (ask.wish === 'cancel' && !cancelled && has >= ask.leaveAfter) {
      cancelled = true;
      submission.cancel();
    }
    if (ask.comesBack && attachment.from === 0 && has >= ask.leaveAfter) {
      attachment.closed = 'left';
      submission.close();
    }
  }
}

function deltaText(choices: readonly unknown[]): string {
  const [choice] = choices;
  if (typeof choice !== 'object' || choice === null || !('delta' in choice)) return '';
  const { delta } = choice;
  if (typeof delta !== 'object' || delta === null || !('content' in delta)) return '';
  return typeof delta.content === 'string' ? delta.content : '';
}

function endOf(outcome: Outcome): NonNullable<ClientRecord['end']> {
  const atMs = Date.now();
  return outcome.status === 'failed'
    ? { status: 'failed', code: outcome.code, atMs }
    : { status: outcome.status, atMs };
}
