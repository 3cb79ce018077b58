import { setTimeout as sleep } from 'node:timers/promises';
import { ensureStream, type Logger, type Nats } from '@drover/runtime';
import { retentionIn, streams, volatileStreams, withRetention } from '@drover/schemas';

/** Makes the memory streams where they are missing, with as many replicas as the jobs have, and the retention noted there. */
export async function ensureVolatileStreams(nats: Nats): Promise<void> {
  const { config } = await nats.jsm.streams.info(streams.jobs.name);
  const retention = retentionIn(config.metadata);
  for (const stream of volatileStreams)
    await ensureStream(nats.jsm, withRetention(stream, retention), config.num_replicas);
}

/** How long to wait before trying again, in ms. */
const retryMs = 1_000;

/**
 * The same after a reconnect: JetStream may come back later than the connection, so this tries until the streams are there
 * or the connection is closed.
 */
export async function restoreVolatileStreams(nats: Nats, log: Logger): Promise<void> {
  while (!nats.nc.isClosed()) {
    try {
      await ensureVolatileStreams(nats);
      return;
    } catch (error) {
      log.warn({ error: String(error) }, 'memory streams not ensured, will be tried again');
      await sleep(retryMs, undefined, { ref: false });
    }
  }
}
