import { EventLog, type Nats, readMetered } from '@drover/runtime';
import { accountOf, type Event, type Outcome, type Portion, type Request } from '@drover/schemas';

/**
 * Commits `deadline_exceeded` as the outcome unless there is one already; resolves to the outcome that stands.
 * Needs the right to write events as `writer`.
 * @param known what the ledger is to be told: whose request it is, and who has said what, as far as the caller has heard
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
    const attempt = last?.event.attempt ?? 0;
    // A reader that has heard nothing may have come late.
    const heard = known.metered ?? [];
    const metered = attempt === 0 || heard.length > 0 ? heard : await readMetered(nats, tenant, id);
    const ended: Event = {
      v: 1,
      state: 'ended',
      attempt,
      atMs: Date.now(),
      outcome,
      ...(known.request === undefined ? {} : accountOf(known.request)),
      ...(metered === undefined ? {} : { metered: [...metered] }),
    };
    if ((await log.write(writer, ended, last?.seq ?? 0)) !== null) return outcome;
  }
}
