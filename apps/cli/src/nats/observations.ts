import type { Nats } from '@drover/runtime';
import {
  type DecisionRecord,
  decisionRecord,
  event,
  ledgerRecord,
  parseMessage,
  requestIdOf,
  streams,
  subjects,
  tokenOf,
} from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';
import { Observations } from '../core/experiment/observation.ts';
import { eachMessage } from './each-message.ts';

/** Decisions since a time, joined with how the requests ended and what was charged for them. */
export async function readObservations(nats: Nats, sinceMs: number): Promise<Observations> {
  const observations = new Observations();
  observations.unreadable = await eachDecision(nats, sinceMs, (record, { time }) =>
    observations.decided(record, time.getTime()),
  );
  await eachMessage(
    nats,
    streams.events.name,
    subjects.event('*', '*', '*'),
    sinceMs,
    ({ data, subject, time }) => {
      const parsed = parseMessage(event, data);
      if (parsed.ok && parsed.value.state === 'ended')
        observations.ended(tokenOf(subject, 3), requestIdOf(subject), parsed.value, time.getTime());
    },
  );
  await eachMessage(nats, streams.ledger.name, subjects.ledger('*', '*'), sinceMs, ({ data }) => {
    const parsed = parseMessage(ledgerRecord, data);
    if (parsed.ok) observations.settled(parsed.value);
  });
  return observations;
}

/** Every recorded decision since a time, oldest first. Returns how many could not be read. */
export async function eachDecision(
  nats: Nats,
  sinceMs: number,
  onDecision: (record: DecisionRecord, message: JsMsg) => void,
): Promise<number> {
  let unreadable = 0;
  await eachMessage(nats, streams.decisions.name, subjects.decision('*', '*'), sinceMs, (message) => {
    const parsed = parseMessage(decisionRecord, message.data);
    if (parsed.ok) onDecision(parsed.value, message);
    else unreadable++;
  });
  return unreadable;
}
