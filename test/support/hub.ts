import {
  connectNats,
  createLogger,
  ensureBucket,
  ensureConsumer,
  ensureStream,
  type Nats,
} from '@drover/runtime';
import { buckets, consumersFor, streams } from '@drover/schemas';
import { startNatsServer, type TestServer } from './nats-server.ts';

const silent = createLogger('test', 'fatal');

/** A connection to a test's server, closed with `await using`. */
export async function connectTo(url: string, name = 'test'): Promise<Nats & AsyncDisposable> {
  const nats = await connectNats(
    name,
    { NATS_URL: url, NATS_INBOX_PREFIX: '_INBOX', LOG_LEVEL: 'fatal' },
    silent,
  );
  return Object.assign(nats, { [Symbol.asyncDispose]: () => nats.nc.close() });
}

/** A real nats-server that has every stream, consumer and bucket of a deployment with these clusters. */
export async function startHub(clusters: readonly string[]): Promise<TestServer> {
  const server = await startNatsServer();
  await using admin = await connectTo(server.url, 'admin');
  for (const stream of Object.values(streams)) await ensureStream(admin.jsm, stream, 1);
  for (const consumer of consumersFor(clusters)) await ensureConsumer(admin.jsm, consumer);
  for (const bucket of Object.values(buckets)) await ensureBucket(admin.js, bucket, 1);
  return server;
}
