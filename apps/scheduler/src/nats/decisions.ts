import type { Logger, Nats } from '@drover/runtime';
import { type DecisionRecord, decisionRecord, natsHeaders, parseMessage, subjects } from '@drover/schemas';
import { headers, type MsgHdrs } from 'nats';

/** Decisions go out plainly, after the job, and are captured by LLM_DECISIONS: they explain, they command nothing. */
export class Decisions {
  readonly #nats: Nats;
  readonly #maker: string;
  readonly #headers: MsgHdrs = headers();

  constructor(nats: Nats, schedulerId: string) {
    this.#nats = nats;
    this.#maker = schedulerId;
    this.#headers.set(natsHeaders.scheduler, schedulerId);
  }

  publish(record: DecisionRecord): void {
    this.#nats.nc.publish(subjects.decision(record.tenant, record.request), JSON.stringify(record), {
      headers: this.#headers,
    });
  }

  /** Hears the decisions of other schedulers. */
  subscribe(onDecision: (record: DecisionRecord) => void, log: Logger): void {
    this.#nats.nc.subscribe(subjects.decision('*', '*'), {
      callback: (error, message) => {
        if (error) return log.error({ error: error.message }, 'decisions cannot be heard');
        // Its own decisions are in its ledger already.
        if (message.headers?.get(natsHeaders.scheduler) === this.#maker) return;
        const parsed = parseMessage(decisionRecord, message.data);
        if (parsed.ok) onDecision(parsed.value);
        else log.warn({ subject: message.subject }, 'decision refused');
      },
    });
  }
}
