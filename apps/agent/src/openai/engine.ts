import { createHash } from 'node:crypto';
import type { Job, ProviderLimit, Request, Usage } from '@drover/schemas';
import type { Call } from '../core/call.ts';
import type { Finished } from '../core/finish.ts';
import type { Health } from '../core/health.ts';
import { type OpenAiCall, type ProviderModel, planProviderCall } from '../core/openai/call.ts';
import {
  type Allowance,
  corrected,
  fullLimits,
  type Limits,
  limitOf,
  paused,
  startable,
  taken,
} from '../core/openai/limits.ts';
import { answerTps, noSpeed, usualTtftMs, withAnswer, withFirstToken } from '../core/openai/speed.ts';
import { type Budget, type Hold, type Prices, usdOf } from '../core/openai/spending.ts';
import { tokensBound, tokensGuess } from '../core/openai/tokens.ts';
import type { Engine, Figures, Watch } from '../engine.ts';
import { BackendError } from '../llama/backend-error.ts';
import type { Backend } from '../llama/describe.ts';
import type { Generation } from '../llama/generate.ts';
import { type ProviderHttp, ProviderRefused } from './http.ts';
import type { ProviderMetrics } from './metrics.ts';
import { readProviderBody, readProviderStream } from './read.ts';
import type { SpendingRecord } from './spending-record.ts';
import { ProviderWatch } from './watch.ts';

export type ProviderOptions = {
  readonly http: ProviderHttp;
  readonly spending: SpendingRecord;
  readonly metrics: ProviderMetrics;
  readonly baseUrl: string;
  /** The catalogue's name of the model. */
  readonly modelName: string;
  readonly model: ProviderModel;
  readonly contextTokens: number;
  readonly endpoints: Backend['model']['endpoints'];
  readonly slots: number;
  readonly allowance: Allowance;
  readonly budget: Budget;
  readonly healthIntervalMs: number;
  readonly benchmark: boolean;
};

/** A text that makes any model say more than a few tokens. */
const measuringText = 'Count from one to forty in words, separated by commas.';
const measuringTokens = 64;
const measuringMaxMs = 30_000;
/** A model may have said too little for a figure. */
const measuringRoundsMax = 5;
/** An agent that could not measure because nothing may be spent tries again this often. */
const measureAgainMs = 30_000;

/**
 * A provider's OpenAI-compatible API: paid by the token, limited by the minute, and with nothing to continue from once a part
 * of an answer was shown. Nothing is sent that a limit or a budget does not allow; this is where both are kept.
 */
export class ProviderEngine implements Engine {
  readonly name: string;
  readonly #options: ProviderOptions;
  #limits: Limits;
  #speed = noSpeed;
  #again: NodeJS.Timeout | undefined;

  constructor(options: ProviderOptions) {
    this.name = options.http.name;
    this.#options = options;
    this.#limits = fullLimits(options.allowance, performance.now());
  }

  plan(request: Request): Call {
    return planProviderCall(request, this.#options.model);
  }

  async generate(generation: Generation, job: Job): Promise<Finished> {
    const { call } = generation;
    if (call.mode === 'tokens') throw new Error('a provider cannot be asked for tokens by id');
    const { usdPer1k: output, usdPer1kPrompt: prompt = output } = job;
    if (output === undefined || prompt === undefined) throw limited('the job says no price per token', 0);
    return this.#buy(generation, call, { prompt, output });
  }

  watch(onChange: (health: Health) => void): Watch {
    return new ProviderWatch(this.#options.http, this.#options.healthIntervalMs, onChange);
  }

  /** Nothing is asked: a provider does not tell what a request needs to know. */
  async describe(): Promise<Backend> {
    const { spending, modelName, contextTokens, endpoints, slots } = this.#options;
    try {
      await spending.load();
    } catch (error) {
      throw new BackendError({ kind: 'down', message: 'what was spent cannot be read' }, error);
    }
    return { slots, model: { name: modelName, hash: this.#hash, contextTokens, endpoints } };
  }

  /** Buys a short answer, so that a scheduler knows how quick the provider is; later, if nothing may be bought now. */
  async measure(): Promise<void> {
    if (!this.#options.benchmark) return;
    for (let round = 0; round < measuringRoundsMax && !this.#isMeasured && !this.limit(); round++)
      await this.#buyFigures();
    if (!this.#isMeasured) this.#measureLater();
  }

  get #isMeasured(): boolean {
    const isSilent = this.#options.endpoints.every((endpoint) => endpoint === 'embedding');
    return usualTtftMs(this.#speed) !== undefined && (isSilent || answerTps(this.#speed) !== undefined);
  }

  async #buyFigures(): Promise<void> {
    const { contextTokens, spending } = this.#options;
    const call = this.#measuringCall();
    const signal = AbortSignal.timeout(measuringMaxMs);
    const { usage } = await this.#ask({ call, prior: [], contextTokens, signal, onUnits: () => {} }, call);
    await spending.addUnpriced(usage?.promptTokens ?? 0, usage?.completionTokens ?? 0);
  }

  #measureLater(): void {
    clearTimeout(this.#again);
    const again = () => void this.measure().catch(() => this.#measureLater());
    this.#again = setTimeout(again, measureAgainMs).unref();
  }

  figures({ ttftMs }: Figures): Figures {
    const tps = answerTps(this.#speed);
    const usualMs = usualTtftMs(this.#speed);
    const limit = this.limit();
    this.#show();
    return {
      ...(ttftMs ? { ttftMs } : {}),
      ...(tps === undefined ? {} : { rates: { decode: [{ b: 1, tps, n: this.#speed.seen }] } }),
      provider: {
        ...(usualMs === undefined ? {} : { ttftMs: usualMs }),
        ...(limit ? { limit } : {}),
      },
    };
  }

  slots(total: number, busy: number): number {
    if (this.limit()) return Math.min(total, busy);
    return Math.min(total, busy + startable(this.#limits, this.#options.allowance, performance.now()));
  }

  limit(): ProviderLimit | undefined {
    return (
      this.#options.spending.limit() ?? limitOf(this.#limits, this.#options.allowance, performance.now())
    );
  }

  async deferred(): Promise<undefined> {
    return undefined;
  }

  close(): Promise<void> {
    clearTimeout(this.#again);
    return this.#options.http.close();
  }

  /** One request within its budget: holds the most that it can cost, and then says what it did cost. */
  async #buy(generation: Generation, call: OpenAiCall, prices: Prices): Promise<Finished> {
    const { spending, contextTokens, metrics } = this.#options;
    const bound = tokensBound(call, contextTokens);
    const held = await this.#hold(prices, usdOf(prices, bound.prompt, bound.output));
    let cost = held.usd;
    try {
      const finished = await this.#ask(generation, call);
      const { usage } = finished;
      if (usage) {
        cost = usdOf(prices, usage.promptTokens, usage.completionTokens);
        metrics.usd.inc(cost);
      }
      return finished;
    } catch (error) {
      if (wasFree(error)) cost = 0;
      throw error;
    } finally {
      void spending.settle(held, cost);
    }
  }

  async #hold(prices: Prices, boundUsd: number): Promise<Hold> {
    let held: Hold | undefined;
    try {
      held = await this.#options.spending.hold(prices, boundUsd);
    } catch (error) {
      throw limited(`what was spent is not known: ${String(error)}`, 0);
    }
    if (held) return held;
    throw limited(`the budget has not $${boundUsd.toPrecision(3)} left, which this may cost`, 0);
  }

  /** One request within the limits per minute. */
  async #ask(generation: Generation, call: OpenAiCall): Promise<Finished> {
    const { allowance, metrics, http } = this.#options;
    const limit = limitOf(this.#limits, allowance, performance.now());
    if (limit) throw limited(`no more now: ${limit.reason}`, limit.resumesInMs);
    const guess = tokensGuess(call);
    this.#limits = taken(this.#limits, allowance, guess, performance.now());
    const clock = new AnswerClock();
    const heard: Generation = {
      ...generation,
      onUnits: (units, promptTokens) => {
        clock.heard();
        generation.onUnits(units, promptTokens);
      },
    };
    try {
      const read = call.mode === 'deltas' ? readProviderStream : readProviderBody;
      const finished = await read(http, call, heard);
      metrics.requests.inc({ outcome: 'done' });
      this.#learn(call, clock, finished.usage);
      const { promptTokens, completionTokens } = finished.usage ?? { promptTokens: 0, completionTokens: 0 };
      metrics.tokens.inc({ kind: 'prompt' }, promptTokens);
      metrics.tokens.inc({ kind: 'completion' }, completionTokens);
      if (finished.usage) this.#correct(promptTokens + completionTokens - guess);
      return finished;
    } catch (error) {
      metrics.requests.inc({ outcome: outcomeOf(error, generation.signal) });
      if (wasFree(error)) this.#correct(-guess);
      if (error instanceof BackendError && error.refusal.kind === 'limited')
        this.#limits = paused(this.#limits, error.refusal.retryAfterMs, performance.now());
      throw error;
    }
  }

  #correct(tokens: number): void {
    this.#limits = corrected(this.#limits, this.#options.allowance, tokens, performance.now());
  }

  #learn({ mode, path }: OpenAiCall, clock: AnswerClock, usage: Usage | undefined): void {
    // An answer that comes as a whole shows no first token; embeddings have no other.
    if (mode === 'body' && path !== '/embeddings') return;
    this.#speed = withFirstToken(this.#speed, clock.ttftMs);
    if (usage && mode === 'deltas')
      this.#speed = withAnswer(this.#speed, usage.completionTokens - 1, clock.spanMs);
  }

  #measuringCall(): OpenAiCall {
    const { endpoints, model } = this.#options;
    const body = { model: model.name, stream: true, stream_options: { include_usage: true } };
    if (endpoints.includes('chat'))
      return {
        mode: 'deltas',
        path: '/chat/completions',
        body: {
          ...body,
          messages: [{ role: 'user', content: measuringText }],
          [model.limitField]: measuringTokens,
        },
      };
    if (endpoints.includes('completion'))
      return {
        mode: 'deltas',
        path: '/completions',
        body: { ...body, prompt: measuringText, max_tokens: measuringTokens },
      };
    return { mode: 'body', path: '/embeddings', body: { model: model.name, input: measuringText } };
  }

  /** Another address or name is another model, as far as anybody can know. */
  get #hash(): string {
    const { baseUrl, model } = this.#options;
    return createHash('sha256').update(`provider ${baseUrl} ${model.name}`).digest('hex').slice(0, 32);
  }

  #show(): void {
    const { metrics, spending, budget } = this.#options;
    const limit = this.limit();
    metrics.limited.reset();
    if (limit) metrics.limited.set({ reason: limit.reason }, 1);
    const { spent } = spending;
    for (const period of ['day', 'month'] as const) {
      const usd = budget[period];
      if (usd === undefined) continue;
      metrics.budget.set({ period }, usd);
      if (spent) metrics.spent.set({ period }, spent[period].usd);
    }
  }
}

/** When an answer began, and how long it took from there. */
class AnswerClock {
  readonly #startedMs = performance.now();
  #firstMs: number | undefined;
  #lastMs = performance.now();

  heard(): void {
    this.#lastMs = performance.now();
    this.#firstMs ??= this.#lastMs;
  }

  get ttftMs(): number {
    return (this.#firstMs ?? performance.now()) - this.#startedMs;
  }

  get spanMs(): number {
    return this.#lastMs - (this.#firstMs ?? this.#lastMs);
  }
}

const limited = (message: string, retryAfterMs: number) =>
  new BackendError({ kind: 'limited', message, retryAfterMs });

/** Nothing ran: the provider said no, was not reached, or was never asked. Whatever else broke off may be charged. */
const wasFree = (error: unknown): boolean =>
  error instanceof ProviderRefused ||
  (error instanceof BackendError && (error.refusal.kind === 'down' || error.refusal.kind === 'limited'));

const outcomeOf = (error: unknown, signal: AbortSignal): string => {
  if (signal.aborted) return 'aborted';
  return error instanceof BackendError ? error.refusal.kind : 'failed';
};
