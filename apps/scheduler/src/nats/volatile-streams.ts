import { ensureStream, type Nats } from '@drover/runtime';
import { volatileStreams } from '@drover/schemas';

/** Makes the memory streams again, which a restarted single server has lost with their configuration. */
export async function ensureVolatileStreams(nats: Nats): Promise<void> {
  for (const stream of volatileStreams) await ensureStream(nats.jsm, stream, 1);
}
