import { follow, submit } from '@drover/client';
import { createLogger, type Logger, untilThere } from '@drover/runtime';
import { agentId, type ClusterId, clusterId, DroverError, seenOf, streams, subjects } from '@drover/schemas';
import { Registry } from 'prom-client';
import { Agent } from '../../../apps/agent/src/agent.ts';
import { readConfig } from '../../../apps/agent/src/config.ts';
import { createMetrics as agentMetrics } from '../../../apps/agent/src/metrics.ts';
import { createMetrics as schedulerMetrics } from '../../../apps/scheduler/src/metrics.ts';
import { subscribeCancels } from '../../../apps/scheduler/src/nats/cancels.ts';
import { startDeadLetterWorker } from '../../../apps/scheduler/src/nats/dead-letters.ts';
import { subscribeEvents } from '../../../apps/scheduler/src/nats/events.ts';
import { readLastReports, subscribeReports } from '../../../apps/scheduler/src/nats/reports.ts';
import { consumeRequests } from '../../../apps/scheduler/src/nats/requests.ts';
import { startSettler } from '../../../apps/scheduler/src/nats/settler.ts';
import {
  ensureVolatileStreams,
  restoreVolatileStreams,
} from '../../../apps/scheduler/src/nats/volatile-streams.ts';
import { readWakes, subscribeWakes } from '../../../apps/scheduler/src/nats/wakes.ts';
import { Scaler } from '../../../apps/scheduler/src/scaler.ts';
import { Scheduler } from '../../../apps/scheduler/src/scheduler.ts';
import type { State } from '../../../apps/scheduler/src/state.ts';
import { Client } from './client.ts';
import { epochMs, VirtualClock } from './clock.ts';
import { FakeLlama, FakeLlamaHttp } from './fake-llama.ts';
import { History } from './history.ts';
import { connect } from './hub/connection.ts';
import { Hub } from './hub/hub.ts';
import { type Role, SimProcess } from './process.ts';
import { Random } from './random.ts';
import { type Ask, idOf, requestOf, type Scenario, scalingPolicy, tenant } from './scenario.ts';

export type Trace = (line: string) => void;
export type WorldOptions = {
  readonly withoutGuards?: readonly string[];
  readonly forgetful?: readonly string[];
  readonly trace?: Trace;
};

/** A place where a process runs, and runs again after its death. */
type Place = { readonly role: Role; readonly start: () => SimProcess; process: SimProcess; lives: number };

type AgentPlace = { readonly cluster: ClusterId; readonly llama: FakeLlama };

// Figures are no part of the protocol: all processes of all runs count into these.
const metrics = { agent: agentMetrics(new Registry()), scheduler: schedulerMetrics(new Registry()) };
const silent = createLogger('sim', 'silent');

const agentConfig = readConfig({
  NATS_URL: 'sim',
  CLUSTER: 'any',
  LLAMA_URL: 'http://127.0.0.1:1',
  HEALTH_INTERVAL_MS: '1000',
  DRAIN_MS: '1000',
});

/** From SIGTERM to SIGKILL. */
const termMaxMs = 30_000;

/** Prices as KV would tell them. */
const tariffOf = (usdPerHour: number) => ({
  v: 1 as const,
  usdPerHour,
  market: 'spot' as const,
  overheadFactor: 1,
  source: 'simulation',
  asOf: '2026-01-01T00:00:00Z',
});

/** The whole system: production code in every process, the hub and the links between them as models. */
export class World {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly hub: Hub;
  readonly history: History;
  readonly scenario: Scenario;
  readonly clients: Client[] = [];
  readonly llamas: FakeLlama[] = [];
  readonly trace: Trace | undefined;
  readonly #places: Place[] = [];
  readonly #agents = new Map<Place, AgentPlace>();
  readonly #stops = new Map<SimProcess, () => Promise<void>>();
  readonly #natsOf = new Map<SimProcess, ReturnType<typeof connect>>();
  /** What each scheduler knows. */
  readonly #states = new Map<SimProcess, State>();

  constructor(scenario: Scenario, options: WorldOptions) {
    this.scenario = scenario;
    this.history = new History(slotLimits(scenario));
    const { trace } = options;
    this.clock = new VirtualClock((owner, error) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.history.violated('no-process-breaks', `${owner?.name ?? 'the model'}: ${text}`);
    });
    this.trace = trace && ((line) => trace(`${this.clock.nowMs.toFixed(2).padStart(10)} ${line}`));
    this.random = new Random(scenario.seed + 0x5eed);
    this.hub = new Hub(this.clock, this.random, {
      clusters: scenario.clusters.map(({ name }) => name),
      replicaLagMs: scenario.replicaLagMs,
      withoutGuards: options.withoutGuards ?? [],
      forgetful: options.forgetful ?? [],
      onDeleted: (stream, message, by) => {
        this.history.onDeleted(stream, message, by);
        this.trace?.(`${stream.name} #${message.seq} ${message.subject} is deleted by ${by.name}`);
      },
      onExpired: (stream, message) => {
        this.history.onExpired(stream, message);
        this.trace?.(`${stream.name} #${message.seq} ${message.subject} has run out`);
      },
      onStored: (stream, message) => {
        this.history.onStored(stream, message);
        if (stream.name !== 'LLM_REPORTS')
          this.trace?.(
            `${stream.name} #${message.seq} ${message.subject} by ${message.by?.name ?? 'the hub'}: ${textOf(message.data)}`,
          );
      },
    });
  }

  /** Starts every process. Requests and faults come on their own. */
  start(): void {
    FakeLlama.restartNonces();
    const { clusters, schedulers, ingresses } = this.scenario;
    for (let index = 0; index < schedulers; index++) this.#place('scheduler', `s${index + 1}`);
    for (let index = 0; index < ingresses; index++) this.#place('ingress', `i${index + 1}`);
    for (const cluster of clusters)
      for (const [index, slots] of cluster.agents.entries())
        this.#place('agent', `${cluster.name}a${index + 1}`, {
          cluster: clusterId.parse(cluster.name),
          llama: this.#llama(slots),
        });
  }

  process(role: Role, index: number): SimProcess | undefined {
    return this.#places.filter((place) => place.role === role)[index]?.process;
  }

  llamaOf(process: SimProcess): FakeLlama | undefined {
    const place = this.#places.find((one) => one.process === process);
    return place && this.#agents.get(place)?.llama;
  }

  get links() {
    return this.#places.map(({ process }) => process.link);
  }

  /** Whether LLM_WAKE says what the scheduler wants that has the duty now; false while nobody has. */
  get wakesAreSettled(): boolean {
    const process = this.history.leadership.leader?.process;
    const state = process && this.#states.get(process);
    if (!process || !state || process.state !== 'alive') return false;
    const nowMs = epochMs + this.clock.nowMs + process.skewMs;
    const wanted = state
      .clusters()
      .flatMap((cluster) => state.wanted.nodes(cluster, nowMs).map((node) => subjects.wake(cluster, node)));
    const said = this.hub.streams.get(streams.wakes.name)?.messages.map(({ subject }) => subject) ?? [];
    return wanted.toSorted().join() === said.toSorted().join();
  }

  kill(process: SimProcess): void {
    if (process.state === 'dead') return;
    this.trace?.(`${process.name} is killed`);
    process.kill();
    this.llamaOf(process)?.forget(process);
    for (const client of this.clients)
      if (client.ingress === process && !client.isDone) this.#comeBack(client);
  }

  /** A new life at the place of a dead process. */
  restart(process: SimProcess): void {
    const place = this.#places.find((one) => one.process === process);
    if (!place || process.state !== 'dead') return;
    place.lives++;
    place.process = place.start();
    this.trace?.(`${place.process.name} starts`);
  }

  /** SIGTERM: the process finishes what it does, then it is gone. */
  drain(process: SimProcess, done: () => void): void {
    const stop = this.#stops.get(process);
    if (!stop || process.state !== 'alive') return;
    this.trace?.(`${process.name} drains`);
    const gone = () => {
      if (process.state === 'dead') return;
      this.kill(process);
      done();
    };
    this.clock.as(process, () => {
      const stopped = stop().catch((error) => this.trace?.(`${process.name} stopped badly: ${error}`));
      void stopped.then(() => this.clock.schedule(0, undefined, gone));
    });
    // Whoever sent SIGTERM does not wait for ever.
    this.clock.schedule(termMaxMs, undefined, gone);
  }

  /** A client submits its request, through any ingress that is there. */
  submit(ask: Ask, name: string): Client {
    const { history, trace } = this;
    const client = new Client(ask, { name, history, trace });
    this.clients.push(client);
    this.#trySubmit(client, 1);
    return client;
  }

  /** Somebody reads a request from the beginning, or from some unit on. */
  follow(ask: Ask, name: string, from: number): Client {
    const { history, trace } = this;
    const client = new Client(ask, { name, from, history, trace });
    this.clients.push(client);
    this.#follow(client);
    return client;
  }

  #trySubmit(client: Client, round: number): void {
    const again = (afterMs: number) =>
      this.clock.schedule(afterMs, undefined, () => {
        if (client.isDone || client.isAccepted) return;
        if (round < 6) this.#trySubmit(client, round + 1);
        else client.hasGivenUp = true;
      });
    const ingress = this.#anyIngress();
    if (!ingress) {
      again(500);
      return;
    }
    client.ingress = ingress;
    this.#within(ingress, async (nats) => {
      const request = requestOf(client.ask, this.clock.nowMs);
      let submission: Awaited<ReturnType<typeof submit>>;
      try {
        submission = await submit(nats, request, { expireAs: 'ingress' });
      } catch (error) {
        if (!(error instanceof DroverError)) throw error;
        this.trace?.(`${client.name} is refused: ${error.code}`);
        again(1_000);
        return;
      }
      if (client.ingress !== ingress) return;
      const { cancelAfterMs } = client.ask;
      if (cancelAfterMs !== undefined) setTimeout(() => submission.cancel(), cancelAfterMs);
      await client.read(submission, ingress);
    });
  }

  #follow(client: Client): void {
    const ingress = this.#anyIngress();
    if (!ingress) {
      this.clock.schedule(500, undefined, () => this.#follow(client));
      return;
    }
    client.ingress = ingress;
    this.#within(ingress, async (nats) => {
      const submission = follow(nats, {
        tenant,
        id: idOf(client.ask),
        from: client.next,
        ...(client.from === 0 ? { seen: seenOf(client.units) } : {}),
        expireAs: 'ingress',
        readsDecisions: true,
      });
      await client.read(submission, ingress);
    });
  }

  /** The ingress died: the client tries again, as whoever was or was not accepted. */
  #comeBack(client: Client): void {
    client.ingress = undefined;
    client.returns++;
    this.clock.schedule(this.random.between(20, 2_000), undefined, () => {
      if (client.isDone) return;
      if (client.isAccepted) this.#follow(client);
      else this.#trySubmit(client, 1);
    });
  }

  #anyIngress(): SimProcess | undefined {
    const alive = this.#places.filter(({ role, process }) => role === 'ingress' && process.state === 'alive');
    return alive.length === 0 ? undefined : this.random.pick(alive).process;
  }

  #within(process: SimProcess, body: (nats: ReturnType<typeof connect>) => Promise<void>): void {
    const nats = this.#natsOf.get(process);
    if (!nats) throw new Error(`${process.name} has no connection`);
    this.clock.as(process, () => {
      body(nats).catch((error: unknown) => this.history.violated('no-process-breaks', String(error)));
    });
  }

  #llama(slots: number): FakeLlama {
    const { clock, random, scenario } = this;
    const llama = new FakeLlama({ clock, random, asks: scenario.asks, slots, modelHash: 'h' });
    this.llamas.push(llama);
    return llama;
  }

  #place(role: Role, name: string, agent?: AgentPlace): void {
    const start = () => {
      const { lives } = place;
      const process = new SimProcess(this.clock, this.random, role, lives === 0 ? name : `${name}.${lives}`);
      process.link.delayMaxMs = this.scenario.linkDelayMs;
      const nats = connect(this.hub, process);
      this.#natsOf.set(process, nats);
      this.clock.as(process, () => {
        if (agent) this.#runAgent(process, agent);
        else if (role === 'scheduler') this.#runScheduler(process);
      });
      return process;
    };
    const place: Place = {
      role,
      start,
      lives: 0,
      process: new SimProcess(this.clock, this.random, role, name),
    };
    this.#places.push(place);
    if (agent) this.#agents.set(place, agent);
    place.process = start();
  }

  #runAgent(process: SimProcess, { cluster, llama }: AgentPlace): void {
    const nats = this.#natsOf.get(process);
    if (!nats) return;
    const config = {
      ...agentConfig,
      CLUSTER: cluster,
      AGENT_ID: agentId.parse(process.name.replaceAll('.', '-')),
    };
    const agent = new Agent({
      config,
      nats,
      log: this.#log(process),
      metrics: metrics.agent,
      http: new FakeLlamaHttp(llama, process),
    });
    this.#stops.set(process, () => agent.stop());
  }

  /** As apps/scheduler/src/start.ts, with prices and policy given instead of watched in KV. */
  #runScheduler(process: SimProcess): void {
    const nats = this.#natsOf.get(process);
    if (!nats) return;
    const log = this.#log(process);
    const scheduler = new Scheduler({
      nats,
      log,
      metrics: metrics.scheduler,
      schedulerId: process.name,
      random: this.random.next,
    });
    const { state, decisions } = scheduler;
    this.#states.set(process, state);
    if (this.scenario.scales) state.setPolicy({ value: scalingPolicy, revision: 1 });
    for (const { name, usdPerHour } of this.scenario.clusters)
      state.setTariff(clusterId.parse(name), tariffOf(usdPerHour));
    const onReport: Parameters<typeof subscribeReports>[1] = (report, receivedAtMs) => {
      state.hearReport(report, receivedAtMs);
      scheduler.wake();
    };
    const there = <T>(what: string, action: () => Promise<T>) => untilThere(nats, log, what, action);
    const start = async () => {
      await there('memory streams', () => ensureVolatileStreams(nats));
      subscribeReports(nats, onReport, log);
      subscribeEvents(nats, (event) => scheduler.onEvent(event), log);
      subscribeCancels(nats, (cancel) => scheduler.onCancel(cancel), log);
      decisions.subscribe((record) => scheduler.onDecision(record), log);
      await there('last reports', () => readLastReports(nats, onReport));
      if (this.scenario.scales) {
        subscribeWakes(nats, (wake) => state.wanted.hear(wake, Date.now()), log);
        for (const wake of await there('wakes', () => readWakes(nats))) state.wanted.hear(wake, Date.now());
      }
      nats.onReconnect(() => {
        scheduler.onConnected();
        void restoreVolatileStreams(nats, log)
          .then(() => readLastReports(nats, onReport))
          .catch((error) => log.warn({ error: String(error) }, 'last reports not read'));
      });
      scheduler.start();
      const deadLetters = await there('dead letters', () => startDeadLetterWorker(nats, () => {}, log));
      const settlement = { onSettled: () => {}, onTrouble: () => {} };
      const settler = this.scenario.settles
        ? await there('settlement', () => startSettler(nats, settlement, log))
        : undefined;
      const parts = { nats, log, metrics: metrics.scheduler, state, schedulerId: process.name };
      const scaler = this.scenario.scales ? new Scaler(parts) : undefined;
      scaler?.start();
      const requests = await consumeRequests(nats, (message) => scheduler.onRequest(message), log);
      this.#stops.set(process, async () => {
        await scaler?.stop();
        await requests.stop();
        await deadLetters.stop();
        await settler?.stop();
        await scheduler.stop();
      });
    };
    start().catch((error) => {
      // As a process that cannot start: it ends, and its supervisor starts another.
      this.trace?.(`${process.name} could not start: ${error}`);
      this.clock.schedule(0, undefined, () => {
        this.kill(process);
        this.clock.schedule(1_000, undefined, () => this.restart(process));
      });
    });
  }

  #log(process: SimProcess): Logger {
    const { trace } = this;
    if (!trace) return silent;
    const tell = (level: string) => (fields: unknown, text?: string) =>
      trace(`${process.name} ${level}: ${text ?? ''} ${JSON.stringify(fields)}`);
    return Object.assign(Object.create(silent), {
      debug: tell('debug'),
      info: tell('info'),
      warn: tell('warn'),
      error: tell('error'),
    });
  }
}

/**
 * Slots of each cluster, where jobs may never be more: one scheduler that nothing disturbs. Two of them may choose the last
 * slot at the same moment, and faults take slots away.
 */
function slotLimits({ schedulers, faults, clusters }: Scenario): ReadonlyMap<string, number> {
  if (schedulers > 1 || faults.length > 0) return new Map();
  return new Map(clusters.map(({ name, agents }) => [name, agents.reduce((sum, slots) => sum + slots, 0)]));
}

/** What a message says, without the long parts, and without the ids of claims: those are of the process that simulates. */
function textOf(data: Uint8Array): string {
  const text = new TextDecoder().decode(data).replace(/,"claim":"\w+"/, '');
  return text.length > 220 ? `${text.slice(0, 220)}…` : text;
}
