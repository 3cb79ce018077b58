import { EventLog, type Nats } from '@drover/runtime';
import { accountOf, type Event, type Outcome, type Portion, type Request } from '@drover/schemas';

/**
 * Commits `deadline_exceeded` as the outcome unless there is one already; resolves to the outcome that stands.
 * Needs the right to write events as `writer`.
 * @param known what the ledger is to be told: whose request it is, and who has said what; absent where that is not known
 */
export async function expire(
  nats: Nats,
  writer: string,
  tenant: string,
  id: string,
  known: { readonly request?: Request; readonly metered?: readonly Portion[] } = {},
): Promise<Outcome> {
  const outcome: Outcome = {
    status: 'failed',
    code: 'deadline_exceeded',
    message: 'The deadline passed before the answer was complete.',
    units: 0,
  };
  const log = new EventLog(nats, tenant, id);
  while (true) {
    const last = await log.last();
    if (last?.event.state === 'ended') return last.event.outcome;
    const ended: Event = {
      v: 1,
      state: 'ended',
      attempt: last?.event.attempt ?? 0,
      atMs: Date.now(),
      outcome,
      ...(known.request === undefined ? {} : accountOf(known.request)),
      ...(known.metered === undefined ? {} : { metered: [...known.metered] }),
    };
    if ((await log.write(writer, ended, last?.seq ?? 0)) !== null) return outcome;
  }
}
