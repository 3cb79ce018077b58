import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger, Nats, Probe } from '@drover/runtime';
import { agentId, type Report } from '@drover/schemas';
import type { Config } from './config.ts';
import type { Context } from './context.ts';
import type { Health } from './core/health.ts';
import type { Engine } from './engine.ts';
import type { Backend } from './llama/describe.ts';
import { llamaEngine } from './llama/engine.ts';
import { LlamaHttp } from './llama/http.ts';
import { Meter } from './llama/meter.ts';
import { type Metrics, showRates } from './metrics.ts';
import { Acks } from './nats/acks.ts';
import { followAskedAgain } from './nats/asked-again.ts';
import { followCancels } from './nats/cancels.ts';
import { followReplayBuffer } from './nats/replay-buffer.ts';
import type { ReplyWriter } from './nats/reply-writer.ts';
import { type ReportBody, Reporter } from './nats/reporter.ts';
import { SaidLately } from './nats/said-lately.ts';
import { Slots } from './nats/slots.ts';
import { providerEngine } from './openai/start.ts';
import { receive } from './receive.ts';
import { Running } from './running.ts';
import { stopUnlessOwner } from './supervise.ts';

/** A backend that has not answered for this long more is not waited for by those who run on it. */
const abandonAfterMs = 3_000;
/** Readers that lost the same connection may come back a little later than this agent. */
const repeatAgainMs = 1_000;
const settleMaxMs = 5_000;
/** When a job that came while a provider takes none is tried again; a scheduler moves it before, if it can. */
const limitedDelayMs = { least: 1_000, most: 60_000 };
const deferredEveryMs = 1_000;

/**
 * The agent of one llama.cpp server. Phases, as reported:
 *
 *     booting ──described, measured──► ready        (down only after it was ready once)
 *        ▲                               │ backend down
 *        └────backend up──── down ◄──────┘          stop() in any phase ──► draining
 */
export class Agent {
  readonly #context: Context;
  readonly #reporter: Reporter;
  readonly #slots: Slots;
  readonly #acks: Acks;
  readonly #deferredTicker: NodeJS.Timeout;
  #phase: Report['phase'] = 'booting';
  #reason: string | undefined;
  #backend: Backend | undefined;
  #bootMs: number | undefined;
  #wasReady = false;
  #deferred: number | undefined;
  /** Counts up with each coming and going, so that what was begun for an earlier one stops. */
  #epoch = 0;

  /** @param options.http how llama.cpp is reached; by default at `LLAMA_URL` */
  constructor(options: { config: Config; nats: Nats; log: Logger; metrics: Metrics; http?: LlamaHttp }) {
    const { config, nats, log, metrics } = options;
    const agent = config.AGENT_ID ?? agentId.parse(crypto.randomUUID());
    const running = new Running(() => this.#reporter.changed());
    this.#reporter = new Reporter(
      nats,
      { cluster: config.CLUSTER, agent },
      () => this.#report(),
      () => running.size > 0,
    );
    const meter = new Meter();
    const engine: Engine =
      config.LLM_BACKEND === 'openai'
        ? providerEngine(config, { nats, log, agent, registry: metrics.registry })
        : llamaEngine(options.http ?? new LlamaHttp(config.LLAMA_URL), meter, config);
    const watch = engine.watch((health) => this.#onHealth(health));
    const saidLately = new SaidLately();
    this.#context = {
      config,
      agent,
      nats,
      log,
      metrics,
      engine,
      meter,
      watch,
      running,
      saidLately,
      reportNow: () => this.#reporter.now(),
    };
    this.#acks = new Acks(nats, log);
    this.#slots = new Slots({ nats, log, cluster: config.CLUSTER, work: (message) => this.#work(message) });
    this.#deferredTicker = setInterval(() => void this.#askDeferred(), deferredEveryMs);
    followCancels(nats, log, (tenant, id) => running.stop(tenant, id, 'cancelled'));
    followAskedAgain(nats, log, (tenant, id) => {
      running.find(tenant, id)?.writer.repeat();
      saidLately.find(tenant, id)?.repeat();
    });
    nats.onReconnect(this.#repeat);
    followReplayBuffer(nats, log, this.#repeat);
    this.#reporter.changed();
  }

  /** For `/readyz`. */
  readonly probe: Probe = () => {
    const connected = this.#context.nats.connected();
    return {
      ok: connected && this.#phase === 'ready',
      detail: connected ? this.#phase : 'nats disconnected',
    };
  };

  /**
   * Takes no more work from now on, lets running jobs finish for `budgetMs`, gives the rest back, and resolves when no job
   * runs. While one drain is under way another can only shorten it.
   */
  async drain(budgetMs: number): Promise<void> {
    const { running } = this.#context;
    this.#epoch++;
    this.#setPhase('draining');
    this.#slots.open(0);
    await until(() => running.size === 0, budgetMs);
    running.stopAll('drain');
    await until(() => running.size === 0, settleMaxMs);
  }

  /**
   * Drains for `DRAIN_MS`, and resolves when everything is settled and sent. The NATS connection is the caller's to close.
   */
  async stop(): Promise<void> {
    const { nats, watch, engine, config } = this.#context;
    await this.drain(config.DRAIN_MS);
    await until(() => this.#acks.open === 0, settleMaxMs);
    watch.stop();
    clearInterval(this.#deferredTicker);
    nats.offReconnect(this.#repeat);
    this.#reporter.stop();
    this.#context.saidLately.forgetAll();
    this.#slots.close();
    await engine.close();
    if (nats.connected()) await nats.nc.flush();
  }

  async #work(message: Parameters<typeof receive>[2]): Promise<void> {
    if (!this.#backend || this.#phase !== 'ready') {
      message.nak();
      return;
    }
    const limit = this.#context.engine.limit();
    if (limit) {
      const { least, most } = limitedDelayMs;
      message.nak(Math.ceil(Math.min(Math.max(limit.resumesInMs, least), most)));
      return;
    }
    await receive({ ...this.#context, backend: this.#backend }, this.#acks, message);
  }

  #onHealth(health: Health): void {
    const epoch = ++this.#epoch;
    if (this.#phase === 'draining') return;
    if (health.state === 'up') {
      this.#bootMs = health.bootMs ?? this.#bootMs;
      this.#setPhase('booting');
      void this.#getReady(epoch);
      return;
    }
    this.#slots.open(0);
    this.#setPhase('down', health.reason);
    this.#context.log.warn({ reason: health.reason }, 'backend down');
    setTimeout(() => {
      if (this.#epoch === epoch) this.#context.running.stopAll('stalled');
    }, abandonAfterMs).unref();
  }

  /** Describes and measures a backend that is up. Trouble means that it is not: try again until its health says so. */
  async #getReady(epoch: number): Promise<void> {
    const { config, engine, log, meter, running } = this.#context;
    try {
      const backend = await engine.describe();
      if (this.#backend && this.#backend.model.hash !== backend.model.hash) meter.forget();
      this.#backend = backend;
      if (config.BENCHMARK === 'on' && running.size === 0) await engine.measure(backend);
      if (this.#epoch !== epoch) return;
      log.info({ slots: backend.slots, model: backend.model, ...meter.figures }, 'backend ready');
      this.#wasReady = true;
      this.#setPhase('ready');
      this.#slots.open(backend.slots);
    } catch (error) {
      log.warn({ error: String(error) }, 'backend not ready');
      await sleep(config.HEALTH_INTERVAL_MS);
      if (this.#epoch === epoch) await this.#getReady(epoch);
    }
  }

  #setPhase(phase: Report['phase'], reason?: string): void {
    // A backend that has never been up is not broken, it is still coming.
    this.#phase = phase === 'down' && !this.#wasReady ? 'booting' : phase;
    this.#reason = this.#phase === 'down' ? reason : undefined;
    this.#reporter.changed();
  }

  /**
   * Some of what was said may have been lost, with the connection or with the leader of the replay buffer: who runs a
   * request, or ended it a moment ago, says it again; who was replaced meanwhile finds out.
   */
  readonly #repeat = (): void => {
    const { running, saidLately } = this.#context;
    for (const writer of saidLately.all) repeatTwice(writer);
    for (const attempt of running.all) {
      // Readers ignore who was replaced: waiting for the answer would only keep them waiting.
      repeatTwice(attempt.writer);
      void stopUnlessOwner(attempt);
    }
    this.#reporter.changed();
  };

  async #askDeferred(): Promise<void> {
    this.#deferred = this.#phase === 'ready' ? await this.#context.engine.deferred() : undefined;
  }

  #report(): ReportBody {
    const { running, meter, metrics, engine } = this.#context;
    const figures = engine.figures(meter.figures);
    const slots = engine.slots(this.#backend?.slots ?? 0, running.size);
    metrics.slots.set({ state: 'busy' }, running.size);
    metrics.slots.set({ state: 'total' }, slots);
    metrics.backendUp.set(this.#phase === 'ready' || this.#phase === 'draining' ? 1 : 0);
    showRates(metrics, figures.rates);
    if (this.#deferred !== undefined) metrics.deferred.set(this.#deferred);
    if (this.#backend) metrics.modelLoaded.set({ model: this.#backend.model.name }, 1);
    return {
      phase: this.#phase,
      ...(this.#reason === undefined ? {} : { reason: this.#reason }),
      ...(this.#backend ? { model: this.#backend.model } : {}),
      slots,
      inFlight: running.inFlight,
      ...(this.#deferred === undefined ? {} : { deferred: this.#deferred }),
      ...figures,
      ...(this.#bootMs === undefined ? {} : { bootMs: this.#bootMs }),
    };
  }
}

function repeatTwice(writer: ReplyWriter): void {
  writer.repeat();
  setTimeout(() => writer.repeat(), repeatAgainMs);
}

/** Resolves once `condition` holds, or after `maxMs`. */
async function until(condition: () => boolean, maxMs: number): Promise<void> {
  const giveUpMs = performance.now() + maxMs;
  while (!condition() && performance.now() < giveUpMs) await sleep(20);
}
