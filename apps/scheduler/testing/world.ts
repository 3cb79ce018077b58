import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commonEnv, connectNats, createLogger, createRegistry, type Nats, readEnv } from '@drover/runtime';
import {
  buckets,
  type DecisionRecord,
  decisionRecord,
  type Event,
  event,
  natsUsersConfig,
  type PolicyInput,
  parseMessage,
  permissions,
  policyKeys,
  type RequestInput,
  requestId,
  streams,
  subjects,
  tenantId,
} from '@drover/schemas';
import { Kvm } from '@nats-io/kv';
import { type Credential, ensureKeys } from '../../../infra/local/src/keys.ts';
import { startNatsServer, type TestServer } from '../../../test/support/nats-server.ts';
import { provision } from '../src/bootstrap/provision.ts';
import { createMetrics } from '../src/metrics.ts';
import { type RunningScheduler, startScheduler } from '../src/start.ts';
import { HandAgent } from './hand-agent.ts';

/** Waits until `probe` gives something, looking every 20 ms. @throws after `withinMs`, saying what was awaited */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | null | Promise<T | undefined | false | null>,
  withinMs = 5_000,
): Promise<T> {
  const giveUpAtMs = Date.now() + withinMs;
  while (true) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > giveUpAtMs) throw new Error(`${what}: not within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const quiet = createLogger('scheduler-test', process.env.LOG_LEVEL ?? 'fatal');

const roles = { admin: permissions.admin(), scheduler: permissions.scheduler() };

/**
 * A real nats-server, provisioned, whose schedulers have the rights of their role and no more, with agents played by hand and as many
 * schedulers as a test wants.
 */
export class World implements AsyncDisposable {
  readonly server: TestServer;
  /** With all rights: for the test itself and its agents. */
  readonly nats: Nats;
  readonly #keys: string;
  readonly #asScheduler: Credential;
  readonly #connections: Nats[] = [];
  readonly #schedulers: RunningScheduler[] = [];
  readonly #agents: HandAgent[] = [];

  private constructor(server: TestServer, nats: Nats, keys: string, asScheduler: Credential) {
    this.#keys = keys;
    this.#asScheduler = asScheduler;
    this.server = server;
    this.nats = nats;
    this.#connections.push(nats);
  }

  /** @param usdPerHour price of each cluster; its keys are the clusters */
  static async start(usdPerHour: Record<string, number>): Promise<World> {
    const keys = mkdtempSync(join(tmpdir(), 'drover-scheduler-keys-'));
    const { users, credentials } = ensureKeys(keys, roles);
    const server = await startNatsServer(natsUsersConfig(users));
    const nats = await connectTo(server.url, credentials.admin);
    await provision(nats, { clusters: Object.keys(usdPerHour), replicas: 1, seeds: [] });
    const world = new World(server, nats, keys, credentials.scheduler);
    for (const [cluster, price] of Object.entries(usdPerHour)) await world.price(cluster, price);
    return world;
  }

  async price(cluster: string, usdPerHour: number, region?: string): Promise<void> {
    const known = { v: 1, usdPerHour, market: 'on-demand', source: 'test', asOf: '2025-01-01T00:00:00Z' };
    const tariff = region === undefined ? known : { ...known, region };
    await (await this.#bucket(buckets.prices.name)).put(cluster, JSON.stringify(tariff));
  }

  async policy(policy: PolicyInput | { nonsense: true }): Promise<void> {
    await (await this.#bucket(buckets.policy.name)).put(policyKeys.active, JSON.stringify(policy));
  }

  async models(...names: string[]): Promise<void> {
    const models = names.map((name) => ({
      name,
      aliases: [`${name}-alias`],
      endpoints: ['chat'],
      contextTokens: 2048,
    }));
    await (await this.#bucket(buckets.policy.name)).put(policyKeys.models, JSON.stringify({ v: 1, models }));
  }

  #bucket(name: string) {
    return new Kvm(this.nats.js).open(name);
  }

  agent(cluster: string, shape: { slots: number; tps?: number; model?: string; id?: string }): HandAgent {
    const agent = new HandAgent(this.nats, cluster, shape);
    this.#agents.push(agent);
    return agent;
  }

  async scheduler(id = 's1'): Promise<RunningScheduler> {
    const nats = await connectTo(this.server.url, this.#asScheduler);
    this.#connections.push(nats);
    const metrics = createMetrics(createRegistry('test'));
    const running = await startScheduler(nats, { log: quiet, metrics, schedulerId: id, random: () => 0.5 });
    this.#schedulers.push(running);
    return running;
  }

  async submit(id: string, change: Partial<RequestInput> = {}): Promise<void> {
    const request = {
      v: 1,
      id: requestId.parse(id),
      tenant: tenantId.parse('t1'),
      priority: 'standard',
      submittedAtMs: Date.now(),
      deadlineAtMs: Date.now() + 60_000,
      endpoint: 'chat',
      body: { model: 'm1', messages: [{ role: 'user', content: 'hello' }], max_tokens: 20 },
      ...change,
    };
    await this.publishRequest(id, JSON.stringify(request), request.priority ?? 'standard');
  }

  async publishRequest(id: string, data: string, band: string): Promise<void> {
    await this.nats.js.publish(`llm.req.${band}.t1.${id}`, data, { msgID: id });
  }

  async lastEvent(id: string): Promise<Event | undefined> {
    const last = await this.nats.jsm.direct.getMessage(streams.events.name, {
      last_by_subj: subjects.event('*', 't1', id),
    });
    const parsed = last && parseMessage(event, last.data);
    return parsed?.ok ? parsed.value : undefined;
  }

  ended(id: string, withinMs?: number): Promise<Extract<Event, { state: 'ended' }>> {
    return until(
      `the end of ${id}`,
      async () => {
        const last = await this.lastEvent(id);
        return last?.state === 'ended' && last;
      },
      withinMs,
    );
  }

  decision(id: string): Promise<DecisionRecord> {
    return until(`the decision on ${id}`, async () => {
      const last = await this.nats.jsm.direct.getMessage(streams.decisions.name, {
        last_by_subj: subjects.decision('t1', id),
      });
      const parsed = last && parseMessage(decisionRecord, last.data);
      return parsed?.ok && parsed.value;
    });
  }

  /** Subjects of the jobs that exist. */
  async jobs(): Promise<string[]> {
    const info = await this.nats.jsm.streams.info(streams.jobs.name, { subjects_filter: 'llm.job.>' });
    return Object.keys(info.state.subjects ?? {});
  }

  async count(stream: { name: string }): Promise<number> {
    return (await this.nats.jsm.streams.info(stream.name)).state.messages;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.#agents) agent.silence();
    for (const scheduler of this.#schedulers) await scheduler.stop();
    for (const { nc } of this.#connections) await nc.close();
    await this.server[Symbol.asyncDispose]();
    rmSync(this.#keys, { recursive: true, force: true });
  }
}

/** Connects, as somebody or (to a server without users) as anybody, to a server that is there: it is not waited for. */
export const connectTo = (url: string, who?: Credential): Promise<Nats> =>
  connectNats(
    'test',
    readEnv(commonEnv, {
      NATS_URL: url,
      ...(who ? { NATS_NKEY_FILE: who.nkeyFile, NATS_INBOX_PREFIX: who.inboxPrefix } : {}),
    }),
    quiet,
    { waitOnFirstConnect: false },
  );
