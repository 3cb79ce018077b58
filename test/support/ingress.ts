import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger, type Nats } from '@drover/runtime';
import { buckets, type Catalogue, catalogue, failureCodes, policyKeys } from '@drover/schemas';
import { Kvm } from '@nats-io/kv';
import { Registry } from 'prom-client';
import { z } from 'zod';
import { readConfig } from '../../apps/ingress/src/config.ts';
import { buildServer, type IngressServer } from '../../apps/ingress/src/http/server.ts';
import { type FakeFleet, startFakeFleet } from './fake-fleet.ts';
import { connectTo, startHub } from './hub.ts';
import type { TestServer } from './nats-server.ts';

export const apiKey = 'sk-test-key';
export const otherApiKey = 'sk-other-tenant';
export const hmacSecret = 'a shared secret of some length';

export const models: Catalogue = catalogue.parse({
  v: 1,
  models: [
    { name: 'smol', aliases: ['gpt-4o', 'org/smol'], endpoints: ['chat', 'completion'], contextTokens: 4096 },
    { name: 'embedder', endpoints: ['embedding'], contextTokens: 512 },
  ],
});

export type Edge = AsyncDisposable & {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly hub: TestServer;
  /** A connection that may do everything. */
  readonly nats: Nats;
  readonly fleet: FakeFleet;
  readonly server: IngressServer;
  readonly registry: Registry;
  readonly keysFile: string;
  /** Starts a second ingress on the same NATS; resolves to its URL. It stops with the first. */
  startPeer(): Promise<string>;
};

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

export const keysFileOf = (keys: Readonly<Record<string, string>>): string =>
  JSON.stringify({
    v: 1,
    keys: Object.entries(keys).map(([key, tenant], index) => ({
      id: `k${index}`,
      tenant,
      sha256: sha256(key),
    })),
  });

/** An ingress in this process, on a real nats-server, with a scripted fleet behind it. */
export async function startEdge(env: Readonly<Record<string, string>> = {}): Promise<Edge> {
  const hub = await startHub([]);
  const folder = mkdtempSync(join(tmpdir(), 'drover-ingress-'));
  const keysFile = join(folder, 'api-keys.json');
  writeFileSync(keysFile, keysFileOf({ [apiKey]: 't1', [otherApiKey]: 't2' }));
  const hmacFile = join(folder, 'hmac-keys.json');
  writeFileSync(hmacFile, JSON.stringify({ v: 1, keys: [{ id: 'h1', tenant: 't1', secret: hmacSecret }] }));
  const log = createLogger('test', process.env.LOG_LEVEL ?? 'fatal');
  const nats = await connectTo(hub.url);
  const policy = await new Kvm(nats.js).open(buckets.policy.name);
  await policy.put(policyKeys.models, JSON.stringify(models));
  const fleet = await startFakeFleet(nats);
  const config = readConfig({
    NATS_URL: hub.url,
    HTTP_PORT: '0',
    API_KEYS_FILE: keysFile,
    HMAC_KEYS_FILE: hmacFile,
    ...env,
  });
  const stops: (() => Promise<void>)[] = [];
  const start = async (registry: Registry) => {
    const own = await connectTo(hub.url, 'ingress');
    const server = buildServer({ nats: own, config, log, registry });
    stops.push(() => server.stop().then(() => own.nc.close()));
    return { server, url: await server.listen() };
  };
  const registry = new Registry();
  const { server, url } = await start(registry);
  return {
    url,
    startPeer: async () => (await start(new Registry())).url,
    hub,
    nats,
    fleet,
    server,
    registry,
    keysFile,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(stops.map((stop) => stop()));
      fleet.stop();
      await nats.nc.close();
      await hub[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const failure = z.object({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.enum(failureCodes),
  }),
});

/** The failure that a response tells of; throws when it is not in OpenAI's envelope. */
export const errorOf = async (response: Response) => failure.parse(await response.json()).error;

/** Polls until `condition` holds. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  withinMs = 5_000,
): Promise<void> {
  const giveUpAtMs = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > giveUpAtMs) throw new Error(`did not happen within ${withinMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
