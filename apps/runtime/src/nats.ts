import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import {
  connect,
  type NatsConnection,
  type NodeConnectionOptions,
  nkeyAuthenticator,
  type TlsOptions,
} from 'nats';
import { batchWrites } from './batched-writes.ts';
import type { CommonEnv } from './env.ts';
import { guardRequests } from './guarded-requests.ts';
import type { Logger } from './log.ts';

export type Nats = {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  /** False between a disconnect and the reconnect that ends it. */
  connected(): boolean;
  /** Called after each reconnect: what was published or missed meanwhile has to be made good. */
  onReconnect(listener: () => void): void;
  offReconnect(listener: () => void): void;
};

/** How often a process that waits for its first connection says so. */
const waitingEveryMs = 5_000;
/** How long the last words of a process may take to get out. */
const leaveWithinMs = 2_000;

/**
 * Connects, waiting for the server as long as it takes (and saying so) and reconnecting for ever.
 * Requests and JetStream publishes time out after 2 s, so that they can be repeated with the same message id.
 * @param overrides connection options of a caller that is no daemon: a library must not wait for ever
 */
export async function connectNats(
  name: string,
  env: CommonEnv,
  log: Logger,
  overrides: NodeConnectionOptions = {},
): Promise<Nats> {
  const tls = tlsOptions(env);
  const waiting = setInterval(() => log.warn({ servers: env.NATS_URL }, 'waiting for nats'), waitingEveryMs);
  const nc = await connect({
    name,
    servers: env.NATS_URL.split(','),
    inboxPrefix: env.NATS_INBOX_PREFIX,
    ...(env.NATS_NKEY_FILE ? { authenticator: nkeyAuthenticator(readSeed(env.NATS_NKEY_FILE)) } : {}),
    ...(tls ? { tls } : {}),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 150,
    pingInterval: 10_000,
    timeout: 5_000,
    waitOnFirstConnect: true,
    // Without it every request and publish makes an error in advance, for its stack: a tenth of the ingress's time.
    noAsyncTraces: true,
    // A hub that restarts may refuse a user twice while it loads; giving up for good would need a person.
    ignoreAuthErrorAbort: true,
    ...overrides,
  }).finally(() => clearInterval(waiting));
  batchWrites(nc);
  const requests = guardRequests(nc);
  const options = { timeout: 2_000, ...(env.NATS_DOMAIN ? { domain: env.NATS_DOMAIN } : {}) };
  const listeners = new Set<() => void>();
  let connected = true;
  void (async () => {
    for await (const status of nc.status()) {
      if (status.type === 'disconnect') {
        connected = false;
        requests.down();
        log.warn('nats disconnected');
      } else if (status.type === 'reconnect') {
        connected = true;
        batchWrites(nc);
        requests.up();
        log.info('nats reconnected');
        for (const listener of listeners) listener();
      } else if (status.type === 'error') {
        log.error({ error: status.error.message }, 'nats error');
      }
    }
    connected = false;
  })();
  return {
    nc,
    js: jetstream(nc, options),
    // Without the API check no role needs `$JS.API.INFO`.
    jsm: await jetstreamManager(nc, { ...options, checkAPI: false }),
    connected: () => connected,
    onReconnect: (listener) => void listeners.add(listener),
    offReconnect: (listener) => void listeners.delete(listener),
  };
}

/** Closes the connection, after what was published has gone out, if there is anybody to take it. */
export async function leaveNats(nats: Nats): Promise<void> {
  if (nats.connected())
    await Promise.race([nats.nc.drain().catch(() => {}), sleep(leaveWithinMs, undefined, { ref: false })]);
  await nats.nc.close();
}

const readSeed = (file: string): Uint8Array => new TextEncoder().encode(readFileSync(file, 'utf8').trim());

function tlsOptions(env: CommonEnv): TlsOptions | undefined {
  if (!env.NATS_CA_FILE && !env.NATS_CERT_FILE) return undefined;
  return {
    ...(env.NATS_CA_FILE ? { caFile: env.NATS_CA_FILE } : {}),
    ...(env.NATS_CERT_FILE ? { certFile: env.NATS_CERT_FILE } : {}),
    ...(env.NATS_KEY_FILE ? { keyFile: env.NATS_KEY_FILE } : {}),
  };
}
