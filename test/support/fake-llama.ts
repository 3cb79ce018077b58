import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { parseArgs } from 'node:util';
import { chatShape, completionShape, type Finish, type Shape, textShape } from './fake-llama-shapes.ts';
import {
  detokenize,
  type FakePrompt,
  readPrompt,
  replyToken,
  template,
  tokenize,
} from './fake-llama-text.ts';

export type FakeOptions = {
  /** 0: a free one. */
  port?: number;
  slots?: number;
  contextTokens?: number;
  /** Time per token; 0 says the whole reply at once, in one write. */
  tokenMs?: number;
  ttftMs?: number;
  /** Length of a reply whose request has no limit. */
  tokens?: number;
  /** See fake-llama-text.ts; 0: never. */
  emojiEvery?: number;
  alias?: string;
};

/** What goes wrong; change it at any time. */
export type Faults = {
  /** Resets the connection after this many tokens of a reply. */
  killAfterTokens?: number | undefined;
  /** Says nothing more after this many tokens, and keeps the connection. */
  stallAfterTokens?: number | undefined;
  /** Answers generations with this status and llama.cpp's error envelope. */
  status?: number | undefined;
  /** A generation whose prompt has this word is answered as a crash inside llama.cpp would be: with 500. */
  poison?: string | undefined;
  /** Ends a reply after this many tokens, whatever was asked for. */
  tokensMax?: number | undefined;
  /** `/health` says that the model is loading. */
  loading?: boolean | undefined;
  /** Accepts connections and answers nothing at all. */
  silent?: boolean | undefined;
};

export type FakeLlama = AsyncDisposable & {
  readonly url: string;
  readonly port: number;
  readonly faults: Faults;
  readonly counters: {
    generations: number;
    /** Generations whose connection was closed by the client before the end. */
    aborted: number;
    tokens: number;
    /** Generations running now. */
    busy: number;
    busyMax: number;
  };
  /** The bodies of all generations so far, in order. */
  readonly bodies: Body[];
  /** Closes every connection and the port, as a crash. */
  crash(): Promise<void>;
  /** Listens again on the same port. */
  restart(): Promise<void>;
};

type Body = Record<string, unknown>;

/** A llama.cpp server that needs no model: deterministic, fast, and faulty when asked to be. */
export async function startFakeLlama(options: FakeOptions = {}): Promise<FakeLlama> {
  const fake = new Fake(options);
  await fake.listen(options.port ?? 0);
  return {
    get url() {
      return `http://127.0.0.1:${fake.port}`;
    },
    get port() {
      return fake.port;
    },
    faults: fake.faults,
    counters: fake.counters,
    bodies: fake.bodies,
    crash: () => fake.close(),
    restart: () => fake.listen(fake.port),
    [Symbol.asyncDispose]: () => fake.close(),
  };
}

class Fake {
  readonly faults: Faults = {};
  readonly counters: FakeLlama['counters'] = { generations: 0, aborted: 0, tokens: 0, busy: 0, busyMax: 0 };
  readonly bodies: Body[] = [];
  port = 0;
  readonly #slots: number;
  readonly #contextTokens: number;
  readonly #tokenMs: number;
  readonly #ttftMs: number;
  readonly #tokens: number;
  readonly #emojiEvery: number;
  readonly #alias: string;
  readonly #replies = new Set<Reply>();
  #server: Server | undefined;

  constructor(options: FakeOptions) {
    this.#slots = options.slots ?? 2;
    this.#contextTokens = options.contextTokens ?? 4_096;
    this.#tokenMs = options.tokenMs ?? 0;
    this.#ttftMs = options.ttftMs ?? 0;
    this.#tokens = options.tokens ?? 32;
    this.#emojiEvery = options.emojiEvery ?? 0;
    this.#alias = options.alias ?? 'smollm2-135m-instruct';
  }

  async listen(port: number): Promise<void> {
    const server = createServer((request, response) => void this.#serve(request, response));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    this.port = address.port;
    this.#server = server;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    server?.closeAllConnections();
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += chunk;
    if (this.faults.silent) return;
    const path = (request.url ?? '').split('?', 1)[0];
    const body: Body = text === '' ? {} : JSON.parse(text);
    switch (path) {
      case '/health':
        if (this.faults.loading) return fail(response, 503, 'Loading model', 'unavailable_error');
        return json(response, { status: 'ok' });
      case '/props':
        return json(response, {
          total_slots: this.#slots,
          default_generation_settings: { n_ctx: this.#contextTokens },
          chat_template: 'fake',
        });
      case '/slots':
        return json(
          response,
          Array.from({ length: this.#slots }, (_, id) => {
            const reply = [...this.#replies][id];
            return { id, is_processing: reply !== undefined, ...reply?.slot };
          }),
        );
      case '/metrics':
        response.end(
          `llamacpp:requests_processing ${this.counters.busy}\nllamacpp:requests_deferred ${Math.max(0, this.counters.busy - this.#slots)}\n`,
        );
        return;
      case '/v1/models':
        return json(response, {
          object: 'list',
          data: [
            {
              id: this.#alias,
              object: 'model',
              created: 0,
              owned_by: 'fake',
              meta: { n_params: 1, n_vocab: 2_000_003, size: 1 },
            },
          ],
        });
      case '/tokenize':
        return json(response, { tokens: tokenize(String(body.content)) });
      case '/detokenize':
        return json(response, { content: detokenize(numbers(body.tokens)) });
      case '/apply-template':
        return json(response, { prompt: template(messages(body.messages)) });
      case '/v1/embeddings':
        if (this.faults.stallAfterTokens !== undefined) return;
        return json(response, embeddings(this.#alias, body.input));
      case '/completion':
        return this.#generate(response, body, promptOf(body.prompt), completionShape);
      case '/v1/chat/completions':
        return this.#generate(response, body, template(messages(body.messages)), chatShape);
      case '/v1/completions':
        return this.#generate(response, body, promptOf(body.prompt), textShape);
      default:
        return fail(response, 404, 'File Not Found', 'not_found_error');
    }
  }

  #generate(response: ServerResponse, body: Body, prompt: string | number[], shape: Shape): void {
    this.counters.generations++;
    this.bodies.push(body);
    if (this.faults.status !== undefined) {
      fail(response, this.faults.status, 'the fake was told to fail', 'server_error');
      return;
    }
    const { poison } = this.faults;
    if (poison !== undefined && (typeof prompt === 'string' ? prompt : detokenize(prompt)).includes(poison)) {
      fail(response, 500, 'the prompt broke the fake', 'server_error');
      return;
    }
    const read = readPrompt(prompt);
    if (read.length + read.said >= this.#contextTokens) {
      fail(response, 400, 'the request exceeds the available context size', 'exceed_context_size_error');
      return;
    }
    this.counters.busy++;
    this.counters.busyMax = Math.max(this.counters.busyMax, this.counters.busy);
    const end = this.#end(body, read);
    const reply = new Reply(
      response,
      {
        stream: body.stream === true,
        timed: body.timings_per_token === true,
        seed: typeof body.seed === 'number' ? body.seed : 4_294_967_295,
        prompt: read,
        shape,
        end,
      },
      this.#emojiEvery,
      this,
    );
    response.on('close', () => {
      this.counters.busy--;
      this.#replies.delete(reply);
      if (!response.writableFinished) this.counters.aborted++;
      reply.stop();
    });
    this.#replies.add(reply);
    reply.start(this.#ttftMs, this.#tokenMs);
  }

  /** A limit as large as the context is no limit: the reply then ends by itself, after `tokens` in all. */
  #end(body: Body, { said }: FakePrompt): { count: number; finish: Finish } {
    const asked = [body.n_predict, body.max_completion_tokens, body.max_tokens].find(
      (value) => typeof value === 'number' && value >= 0,
    );
    const most = this.faults.tokensMax ?? Number.POSITIVE_INFINITY;
    const own = Math.min(most, Math.max(0, this.#tokens - said));
    if (typeof asked !== 'number' || (asked + said >= this.#contextTokens && body.ignore_eos !== true))
      return { count: own, finish: 'stop' };
    return { count: Math.min(most, asked), finish: 'length' };
  }
}

type Asked = {
  readonly stream: boolean;
  readonly timed: boolean;
  readonly seed: number;
  readonly prompt: FakePrompt;
  readonly shape: Shape;
  readonly end: { readonly count: number; readonly finish: Finish };
};

/** One reply, token by token. */
class Reply {
  readonly #response: ServerResponse;
  readonly #asked: Asked;
  readonly #emojiEvery: number;
  readonly #fake: Pick<Fake, 'faults' | 'counters'>;
  readonly #ids: number[] = [];
  #timer: NodeJS.Timeout | undefined;
  #text = '';
  #pending: string;

  constructor(
    response: ServerResponse,
    asked: Asked,
    emojiEvery: number,
    fake: Pick<Fake, 'faults' | 'counters'>,
  ) {
    this.#response = response;
    this.#asked = asked;
    this.#emojiEvery = emojiEvery;
    this.#fake = fake;
    this.#pending = asked.shape.first();
  }

  /** As `/slots` of llama.cpp tells of it. */
  get slot(): Record<string, unknown> {
    const { prompt, seed } = this.#asked;
    return {
      n_prompt_tokens_processed: prompt.length + prompt.said,
      n_prompt_tokens_cache: 0,
      params: { seed },
      next_token: [{ n_decoded: this.#ids.length }],
    };
  }

  start(ttftMs: number, tokenMs: number): void {
    if (this.#asked.stream) this.#response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (tokenMs === 0 && ttftMs === 0) this.#all();
    else this.#timer = setTimeout(() => this.#step(tokenMs), ttftMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #all(): void {
    let more = true;
    while (more) more = this.#say();
  }

  #step(tokenMs: number): void {
    if (tokenMs === 0) {
      this.#all();
      return;
    }
    const more = this.#say();
    this.#write();
    if (more) this.#timer = setTimeout(() => this.#step(tokenMs), tokenMs);
  }

  /** Says one token, or the end. False when nothing follows. */
  #say(): boolean {
    const { stream, timed, prompt, shape, end } = this.#asked;
    const { killAfterTokens, stallAfterTokens } = this.#fake.faults;
    if (killAfterTokens !== undefined && this.#ids.length >= killAfterTokens) {
      this.#write(() => this.#response.socket?.resetAndDestroy());
      return false;
    }
    if (stallAfterTokens !== undefined && this.#ids.length >= stallAfterTokens) {
      this.#write();
      return false;
    }
    if (this.#ids.length >= end.count) {
      this.#end();
      return false;
    }
    const token = replyToken(prompt, prompt.said + this.#ids.length, this.#emojiEvery);
    this.#fake.counters.tokens++;
    this.#text += token.text;
    this.#ids.push(token.id);
    if (token.sent && stream)
      this.#pending += shape.token({ ...token, timed, count: this.#ids.length }, prompt);
    return true;
  }

  #end(): void {
    const { stream, shape, prompt, end } = this.#asked;
    const reply = { count: this.#ids.length, finish: end.finish, prompt };
    if (stream) this.#response.end(this.#pending + shape.last(reply));
    else json(this.#response, shape.whole({ ...reply, text: this.#text, ids: this.#ids }));
  }

  #write(then?: () => void): void {
    const pending = this.#pending;
    this.#pending = '';
    if (this.#asked.stream && pending !== '') this.#response.write(pending, then);
    else then?.();
  }
}

function embeddings(model: string, input: unknown): unknown {
  const inputs = Array.isArray(input) && typeof input[0] !== 'number' ? input : [input];
  return {
    object: 'list',
    model,
    data: inputs.map((one, index) => ({
      object: 'embedding',
      index,
      embedding: [String(one).length, index, 0.5],
    })),
    usage: { prompt_tokens: inputs.length, total_tokens: inputs.length },
  };
}

const numbers = (value: unknown): number[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'number') : [];

/** A list of texts is answered for its first. */
function promptOf(prompt: unknown): string | number[] {
  if (!Array.isArray(prompt)) return String(prompt);
  return typeof prompt[0] === 'number' ? numbers(prompt) : promptOf(prompt[0]);
}

const messages = (value: unknown): { role: string; content?: unknown }[] =>
  Array.isArray(value)
    ? value.map((message) => ({ role: String(message?.role), content: message?.content }))
    : [];

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function fail(response: ServerResponse, code: number, message: string, type: string): void {
  response
    .writeHead(code, { 'content-type': 'application/json' })
    .end(JSON.stringify({ error: { code, message, type } }));
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string' },
      slots: { type: 'string', default: '2' },
      'token-ms': { type: 'string', default: '0' },
      'ttft-ms': { type: 'string', default: '0' },
      tokens: { type: 'string', default: '32' },
      'ctx-size': { type: 'string', default: '4096' },
      alias: { type: 'string', default: 'smollm2-135m-instruct' },
      poison: { type: 'string' },
    },
  });
  const fake = await startFakeLlama({
    port: Number(values.port ?? 0),
    slots: Number(values.slots),
    tokenMs: Number(values['token-ms']),
    ttftMs: Number(values['ttft-ms']),
    tokens: Number(values.tokens),
    contextTokens: Number(values['ctx-size']),
    alias: values.alias,
  });
  fake.faults.poison = values.poison;
  console.error(`listening on ${fake.url}`);
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
}
