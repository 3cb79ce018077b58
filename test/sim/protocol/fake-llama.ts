import type { z } from 'zod';
import { BackendError } from '../../../apps/agent/src/llama/backend-error.ts';
import { LlamaHttp } from '../../../apps/agent/src/llama/http.ts';
import type { VirtualClock } from './clock.ts';
import type { SimProcess } from './process.ts';
import type { Random } from './random.ts';
import { type Ask, askOf, promptIds } from './scenario.ts';

/** What one call to llama.cpp said: what it was given of the answer, and what it added. */
export type Generation = {
  readonly request: number;
  readonly by: SimProcess;
  readonly prior: readonly number[];
  readonly said: number[];
  isOver: boolean;
};

export type FakeLlamaOptions = {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly asks: readonly Ask[];
  readonly slots: number;
  readonly modelHash: string;
};

/**
 * A llama.cpp whose answers are known: request n is answered by the ids n·1000, n·1000+1, … With random sampling every
 * generation says other ids, so that two of them are told apart.
 */
export class FakeLlama {
  readonly options: FakeLlamaOptions;
  readonly generations: Generation[] = [];
  isUp = true;
  /** The most generations at a time that it was ever asked for. */
  busiest = 0;
  readonly #running = new Map<Generation, (error: Error) => void>();
  static #nonce = 0;

  constructor(options: FakeLlamaOptions) {
    this.options = options;
  }

  static restartNonces(): void {
    FakeLlama.#nonce = 0;
  }

  get running(): number {
    return this.#running.size;
  }

  /** Every answer breaks off, and nobody listens until `start`. */
  crash(): void {
    this.isUp = false;
    const { clock } = this.options;
    for (const [generation, fail] of [...this.#running])
      clock.schedule(0, generation.by, () =>
        fail(new BackendError({ kind: 'failed', message: 'llama.cpp: ECONNRESET' })),
      );
  }

  start(): void {
    this.isUp = true;
  }

  /** Connections end with the process that held them. */
  forget(process: SimProcess): void {
    for (const generation of this.#running.keys())
      if (generation.by === process) this.#running.delete(generation);
  }

  /** Says an answer, one id at a time. Rejects when it breaks off. */
  say(
    by: SimProcess,
    ask: Ask,
    prior: readonly number[],
    limit: number,
    signal: AbortSignal,
    onId: (id: number, count: number) => void,
  ): Promise<{ generation: Generation; stop: 'eos' | 'limit' }> {
    const { clock, random } = this.options;
    const nonce = ask.sampled ? ++FakeLlama.#nonce : 0;
    const generation: Generation = { request: ask.number, by, prior: [...prior], said: [], isOver: false };
    this.generations.push(generation);
    const { promise, resolve, reject } = Promise.withResolvers<{
      generation: Generation;
      stop: 'eos' | 'limit';
    }>();
    const over = () => {
      generation.isOver = true;
      this.#running.delete(generation);
    };
    const fail = (error: unknown) => {
      if (generation.isOver) return;
      over();
      reject(error);
    };
    this.#running.set(generation, fail);
    this.busiest = Math.max(this.busiest, this.#running.size);
    signal.addEventListener('abort', () => fail(signal.reason));
    const next = () => {
      if (generation.isOver) return;
      const at = prior.length + generation.said.length;
      if (at >= ask.tokens || generation.said.length >= limit) {
        over();
        resolve({ generation, stop: at >= ask.tokens ? 'eos' : 'limit' });
        return;
      }
      if (ask.poison && generation.said.length >= ask.poisonAfter) {
        fail(new BackendError({ kind: 'failed', message: 'llama.cpp: it broke' }));
        return;
      }
      const id = ask.number * 1_000 + at + nonce * 1_000_000;
      generation.said.push(id);
      onId(id, generation.said.length);
      clock.schedule(random.between(0.3, 1.7) * ask.gapMs, by, next);
    };
    clock.schedule(random.between(1, 40), by, next);
    return promise;
  }
}

const textOf = (id: number): string => `t${id} `;

/** The HTTP side of a fake llama.cpp, as one agent uses it. Small questions are answered at once. */
export class FakeLlamaHttp extends LlamaHttp {
  readonly #llama: FakeLlama;
  readonly #process: SimProcess;

  constructor(llama: FakeLlama, process: SimProcess) {
    super('http://127.0.0.1:1');
    this.#llama = llama;
    this.#process = process;
  }

  override async get<T>(path: string, schema: z.ZodType<T>, _timeoutMs: number): Promise<T> {
    this.#mustBeUp();
    const { slots } = this.#llama.options;
    switch (path) {
      case '/props':
        return schema.parse({ total_slots: slots, default_generation_settings: { n_ctx: 4_096 } });
      case '/v1/models':
        return schema.parse({ data: [{ id: 'm' }] });
      case '/slots':
        return schema.parse([]);
      default:
        return schema.parse({});
    }
  }

  override async post<T>(
    path: string,
    body: Readonly<Record<string, unknown>>,
    schema: z.ZodType<T>,
    _signal: AbortSignal,
  ): Promise<T> {
    this.#mustBeUp();
    if (path === '/v1/embeddings')
      throw new BackendError({ kind: 'refused', code: 'endpoint_not_served', message: 'not an embedder' });
    if (path === '/tokenize') {
      const content = String(body.content);
      const ask = askOf(this.#llama.options.asks, content);
      const said = [...content.matchAll(/t(\d+) /g)].map((match) => Number(match[1]));
      return schema.parse({ tokens: ask ? promptIds(ask) : said });
    }
    const ids = Array.isArray(body.tokens) ? body.tokens.map(Number) : [];
    return schema.parse({ content: ids.map(textOf).join('') });
  }

  override async text(
    method: 'GET' | 'POST',
    _path: string,
    body: Readonly<Record<string, unknown>> | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    this.#mustBeUp();
    const ask = method === 'POST' ? askOf(this.#llama.options.asks, body?.prompt) : undefined;
    if (!ask) return '';
    const { generation } = await this.#llama.say(this.#process, ask, [], ask.limit, signal, () => {});
    return JSON.stringify({
      choices: [{ text: generation.said.map(textOf).join(''), finish_reason: 'stop' }],
    });
  }

  override async stream(
    path: string,
    body: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
    onEvents: (events: readonly string[]) => void,
  ): Promise<void> {
    this.#mustBeUp();
    const ask = askOf(this.#llama.options.asks, body.prompt);
    if (!ask) await this.#benchmark(Number(body.n_predict), onEvents);
    else if (path === '/completion') await this.#tokens(ask, body, signal, onEvents);
    else await this.#deltas(ask, signal, onEvents);
  }

  override async close(): Promise<void> {}

  #mustBeUp(): void {
    if (!this.#llama.isUp)
      throw new BackendError({ kind: 'down', message: 'llama.cpp: ECONNREFUSED' }, new Error('refused'));
  }

  async #tokens(
    ask: Ask,
    body: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
    onEvents: (events: readonly string[]) => void,
  ): Promise<void> {
    const given = Array.isArray(body.prompt) ? body.prompt.map(Number) : promptIds(ask);
    const prior = given.slice(promptIds(ask).length);
    const counts = (count: number) => ({ tokens_predicted: count, tokens_evaluated: given.length });
    let held = '';
    const { generation, stop } = await this.#llama.say(
      this.#process,
      ask,
      prior,
      Number(body.n_predict),
      signal,
      (id, count) => {
        // As before a stop string: the id comes, its text comes with a later one. Held at the end it would be dropped.
        const isLast = prior.length + count >= ask.tokens;
        const holds = ask.holdsText && !isLast && id % 3 === 0;
        const content = holds ? '' : held + textOf(id);
        held = holds ? held + textOf(id) : '';
        onEvents([JSON.stringify({ content, tokens: [id], stop: false, ...counts(count) })]);
      },
    );
    const last = { content: '', stop: true, stop_type: stop, ...counts(generation.said.length) };
    onEvents([JSON.stringify({ ...last, timings: timingsOf(given.length, generation.said.length) })]);
  }

  async #deltas(ask: Ask, signal: AbortSignal, onEvents: (events: readonly string[]) => void): Promise<void> {
    await this.#llama.say(this.#process, ask, [], ask.limit, signal, (id) =>
      onEvents([JSON.stringify({ choices: [{ index: 0, text: textOf(id) }] })]),
    );
    onEvents(['[DONE]']);
  }

  /** What a starting agent measures: many tokens in few events. */
  #benchmark(tokens: number, onEvents: (events: readonly string[]) => void): Promise<void> {
    const { clock } = this.#llama.options;
    const { promise, resolve } = Promise.withResolvers<void>();
    const chunks = 3;
    let sent = 0;
    const step = (index: number) => {
      const upTo = Math.ceil((tokens * (index + 1)) / chunks);
      const ids = Array.from({ length: upTo - sent }, (_, offset) => sent + offset + 1);
      sent = upTo;
      onEvents([
        JSON.stringify({
          content: 'x',
          tokens: ids,
          stop: false,
          tokens_predicted: sent,
          tokens_evaluated: 64,
        }),
      ]);
      if (index + 1 < chunks) {
        clock.schedule(20, this.#process, () => step(index + 1));
        return;
      }
      const last = {
        content: '',
        stop: true,
        stop_type: 'limit',
        tokens_predicted: sent,
        tokens_evaluated: 64,
      };
      onEvents([JSON.stringify({ ...last, timings: timingsOf(64, sent) })]);
      resolve();
    };
    clock.schedule(10, this.#process, () => step(0));
    return promise;
  }
}

const timingsOf = (prompt: number, said: number) => ({
  prompt_n: Math.max(prompt, 8),
  prompt_ms: 10,
  predicted_n: said,
  predicted_ms: 20 * said,
});
