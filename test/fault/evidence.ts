import { setTimeout as sleep } from 'node:timers/promises';
import type { Nats } from '@drover/runtime';
import { event, parseMessage, requestIdOf, streams, subjects, tokenOf } from '@drover/schemas';
import type { Evidence, StoredEvent } from './history.ts';

const everyMs = 250;

/** Waits until the work queues are empty, or `withinMs` is over, and reads what the streams then hold. */
export async function readEvidence(nats: Nats, withinMs: number): Promise<Evidence> {
  const giveUpMs = Date.now() + withinMs;
  let left = await queues(nats);
  while ((left.requests > 0 || left.jobs.length > 0) && Date.now() < giveUpMs) {
    await sleep(everyMs);
    left = await queues(nats);
  }
  const deadLetters = (await nats.jsm.streams.info(streams.deadLetters.name)).state.messages;
  return { ...left, events: await readEvents(nats), deadLetters };
}

async function queues(nats: Nats): Promise<Pick<Evidence, 'requests' | 'jobs'>> {
  const requests = (await nats.jsm.streams.info(streams.requests.name)).state.messages;
  const info = await nats.jsm.streams.info(streams.jobs.name, { subjects_filter: subjects.job('*', '*') });
  return { requests, jobs: Object.keys(info.state.subjects ?? {}) };
}

async function readEvents(nats: Nats): Promise<StoredEvent[]> {
  let left = (await nats.jsm.streams.info(streams.events.name)).state.messages;
  const events: StoredEvent[] = [];
  if (left === 0) return events;
  const consumer = await nats.js.consumers.get(streams.events.name);
  for await (const message of await consumer.consume()) {
    const parsed = parseMessage(event, message.data);
    if (!parsed.ok) throw new Error(`event ${message.seq} does not parse: ${parsed.problem}`);
    events.push({
      id: requestIdOf(message.subject),
      seq: message.seq,
      writer: tokenOf(message.subject, 2),
      event: parsed.value,
    });
    left--;
    if (left === 0) break;
  }
  return events;
}
