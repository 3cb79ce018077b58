import type { Nats } from '@drover/runtime';
import { type Reply, type Request, subjects, writers } from '@drover/schemas';

/** Tells the reader of a request that nobody can take it yet. It may be lost. */
export function publishWait(nats: Nats, { tenant, id }: Request, etaMs: number | undefined): void {
  const wait: Reply = { v: 1, k: 'wait', f: 0, ...(etaMs === undefined ? {} : { etaMs: Math.round(etaMs) }) };
  nats.nc.publish(subjects.reply(writers.scheduler, tenant, id), JSON.stringify(wait));
}
