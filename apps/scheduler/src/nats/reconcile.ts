import { EventLog, type Logger, type Nats } from '@drover/runtime';
import { type RequestId, streams } from '@drover/schemas';
import type { Ledger, Listing, Unlisted } from '../core/ledger.ts';
import { deleteMessage, listJobs, readJob } from './jobs.ts';

/** Unknown jobs read at once; a restarted scheduler meets all of them in its first second. */
const readsAtOnce = 32;

/** Keeps the ledger true to LLM_JOBS: drops what is gone, adopts what it did not know, deletes superseded attempts. */
export class Reconciler {
  readonly #nats: Nats;
  readonly #ledger: Ledger;
  readonly #log: Logger;
  #busy = false;

  constructor(nats: Nats, ledger: Ledger, log: Logger) {
    this.#nats = nats;
    this.#ledger = ledger;
    this.#log = log;
  }

  /** One comparison. Does nothing while the one before is still running. */
  async run(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      const listing = await listJobs(this.#nats);
      const { unknown, doubled } = this.#ledger.reconcile(listing, Date.now());
      for (let start = 0; start < unknown.length; start += readsAtOnce)
        await Promise.all(unknown.slice(start, start + readsAtOnce).map((one) => this.#adopt(one)));
      for (const id of doubled) await this.#deleteSuperseded(id, listing);
    } catch (error) {
      this.#log.warn({ error: String(error) }, 'jobs not listed');
    } finally {
      this.#busy = false;
    }
  }

  async #adopt({ id, cluster }: Unlisted): Promise<void> {
    const stored = await readJob(this.#nats, id, cluster);
    if (!stored) return;
    const { request, attempt } = stored.job;
    const last = await new EventLog(this.#nats, request.tenant, id).last();
    const nowMs = Date.now();
    if (last?.event.state === 'ended') {
      // Its agent died between the outcome and the acknowledgement.
      this.#ledger.ended(id, nowMs);
      return deleteMessage(this.#nats, streams.jobs.name, stored.seq);
    }
    this.#ledger.adopt(
      {
        id,
        tenant: request.tenant,
        cluster,
        attempt: Math.max(attempt, last?.event.attempt ?? 0),
        state: last?.event.state ?? 'assigned',
        sinceMs: last ? nowMs : Math.min(nowMs, stored.storedAtMs),
        endpoint: request.endpoint,
      },
      nowMs,
    );
  }

  /** Of two jobs of one request, the lower attempt was to be deleted by a scheduler that died. */
  async #deleteSuperseded(id: RequestId, listing: Listing): Promise<void> {
    const found = await Promise.all(
      (listing.get(id) ?? []).map((cluster) => readJob(this.#nats, id, cluster)),
    );
    const jobs = found.filter((one) => one !== undefined);
    const newest = Math.max(...jobs.map(({ job }) => job.attempt));
    for (const { job, seq } of jobs)
      if (job.attempt < newest) await deleteMessage(this.#nats, streams.jobs.name, seq);
  }
}
