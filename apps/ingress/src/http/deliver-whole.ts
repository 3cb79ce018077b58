import type { OpenReply, Outcome, Unit } from '@drover/schemas';
import { outcomeError } from '../core/errors.ts';
import { wholeAnswer } from '../core/whole-answer.ts';
import { abandon, type Delivery, identityOf, knownHeaders, refuseReuse } from './deliver.ts';

/**
 * Collects the reply and answers with one object.
 * @throws DroverError the outcome of a request that has no answer
 */
export async function deliverWhole(delivery: Delivery): Promise<void> {
  const { submission, exchange } = delivery;
  const units: Unit[] = [];
  let open: OpenReply | undefined;
  try {
    for await (const event of submission.events) {
      switch (event.kind) {
        case 'open':
          open = event.open;
          refuseReuse(delivery);
          break;
        case 'units':
          exchange.units(event.units.length, open);
          units.push(...event.units);
          break;
        case 'waiting':
          break;
        case 'end':
          refuseReuse(delivery);
          return answer(delivery, open, units, event.outcome);
        default:
          event satisfies never;
      }
    }
    abandon(delivery);
  } finally {
    submission.close();
  }
}

function answer(
  { reply, exchange, endpoint, submission, model }: Delivery,
  open: OpenReply | undefined,
  units: readonly Unit[],
  outcome: Outcome,
): void {
  reply.headers(knownHeaders(open, exchange));
  if (outcome.status !== 'done') {
    exchange.ended(outcome);
    throw outcomeError(outcome);
  }
  const identity = identityOf(endpoint, submission.id, open?.model ?? model);
  const json = JSON.stringify(wholeAnswer(identity, units, outcome));
  exchange.ended(outcome);
  reply.type('application/json; charset=utf-8').send(json);
}
