import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { parseArgs } from 'node:util';
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
          Array.from({ length: this.#slots }, (_, id) => ({ id, is_processing: id < this.counters.busy })),
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
    const read = readPrompt(prompt);
    if (read.length + read.said >= this.#contextTokens) {
      fail(response, 400, 'the request exceeds the available context size', 'exceed_context_size_error');
      return;
    }
    this.counters.busy++;
    this.counters.busyMax = Math.max(this.counters.busyMax, this.counters.busy);
    const reply = new Reply(response, body, read, shape, this.#limit(body), this.#emojiEvery, this);
    response.on('close', () => {
      this.counters.busy--;
      if (!response.writableFinished) this.counters.aborted++;
      reply.stop();
    });
    reply.start(this.#ttftMs, this.#tokenMs);
  }

  #limit(body: Body): number {
    const asked = [body.n_predict, body.max_completion_tokens, body.max_tokens].find(
      (value) => typeof value === 'number' && value >= 0,
    );
    // A real model stops by itself; an unlimited request is one whose limit is the context.
    const limit = typeof asked === 'number' ? asked : this.#tokens;
    if (body.ignore_eos === true) return limit;
    return body.n_predict === undefined ? limit : Math.min(limit, this.#contextTokens);
  }
}

type Said = { readonly id: number; readonly text: string; readonly count: number };

/** How an endpoint words what the fake says. */
type Shape = {
  first(): string;
  token(said: Said, prompt: FakePrompt): string;
  last(count: number, finish: 'stop' | 'length', prompt: FakePrompt): string;
  whole(text: string, ids: number[], count: number, finish: 'stop' | 'length', prompt: FakePrompt): unknown;
};

/** One reply, token by token. */
class Reply {
  readonly #response: ServerResponse;
  readonly #stream: boolean;
  readonly #prompt: FakePrompt;
  readonly #shape: Shape;
  readonly #limit: number;
  readonly #emojiEvery: number;
  readonly #fake: Pick<Fake, 'faults' | 'counters'>;
  #timer: NodeJS.Timeout | undefined;
  #count = 0;
  #text = '';
  readonly #ids: number[] = [];
  #pending: string;

  constructor(
    response: ServerResponse,
    body: Body,
    prompt: FakePrompt,
    shape: Shape,
    limit: number,
    emojiEvery: number,
    fake: Pick<Fake, 'faults' | 'counters'>,
  ) {
    this.#response = response;
    this.#stream = body.stream === true;
    this.#prompt = prompt;
    this.#shape = shape;
    this.#limit = limit;
    this.#emojiEvery = emojiEvery;
    this.#fake = fake;
    this.#pending = shape.first();
  }

  start(ttftMs: number, tokenMs: number): void {
    if (this.#stream) this.#response.writeHead(200, { 'content-type': 'text/event-stream' });
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
    const { killAfterTokens, stallAfterTokens } = this.#fake.faults;
    if (killAfterTokens !== undefined && this.#count >= killAfterTokens) {
      this.#write(() => this.#response.socket?.resetAndDestroy());
      return false;
    }
    if (stallAfterTokens !== undefined && this.#count >= stallAfterTokens) {
      this.#write();
      return false;
    }
    if (this.#count >= this.#limit) {
      this.#end();
      return false;
    }
    const token = replyToken(this.#prompt, this.#prompt.said + this.#count, this.#emojiEvery);
    this.#count++;
    this.#fake.counters.tokens++;
    this.#text += token.text;
    this.#ids.push(token.id);
    if (token.sent && this.#stream)
      this.#pending += this.#shape.token({ ...token, count: this.#count }, this.#prompt);
    return true;
  }

  #end(): void {
    if (this.#stream) {
      this.#response.end(this.#pending + this.#shape.last(this.#count, 'length', this.#prompt));
    } else {
      json(this.#response, this.#shape.whole(this.#text, this.#ids, this.#count, 'length', this.#prompt));
    }
  }

  #write(then?: () => void): void {
    const pending = this.#pending;
    this.#pending = '';
    if (this.#stream && pending !== '') this.#response.write(pending, then);
    else then?.();
  }
}

const timings = (count: number, prompt: FakePrompt) => ({
  cache_n: 0,
  prompt_n: prompt.length + prompt.said,
  prompt_ms: 1,
  predicted_n: count,
  predicted_ms: count,
});

const data = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;

const completionShape: Shape = {
  first: () => '',
  token: ({ id, text, count }, prompt) =>
    data({
      index: 0,
      content: text,
      tokens: [id],
      stop: false,
      tokens_predicted: count,
      tokens_evaluated: prompt.length + prompt.said,
    }),
  last: (count, finish, prompt) => data({ ...completionEnd(count, finish, prompt), content: '', tokens: [] }),
  whole: (text, ids, count, finish, prompt) => ({
    ...completionEnd(count, finish, prompt),
    content: text,
    tokens: ids,
  }),
};

const completionEnd = (count: number, finish: string, prompt: FakePrompt) => ({
  stop: true,
  stop_type: finish === 'length' ? 'limit' : 'eos',
  tokens_predicted: count,
  tokens_evaluated: prompt.length + prompt.said,
  timings: timings(count, prompt),
});

const usage = (count: number, prompt: FakePrompt) => ({
  prompt_tokens: prompt.length,
  completion_tokens: count,
  total_tokens: prompt.length + count,
  prompt_tokens_details: { cached_tokens: 0 },
});

const chatShape: Shape = {
  first: () => data(chunk({ delta: { role: 'assistant', content: null }, finish_reason: null })),
  token: ({ text }) => data(chunk({ delta: { content: text }, finish_reason: null })),
  last: (count, finish, prompt) =>
    data(chunk({ delta: {}, finish_reason: finish })) + usageChunk(count, prompt) + done,
  whole: (text, _ids, count, finish, prompt) => ({
    id: 'chatcmpl-fake',
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: finish }],
    usage: usage(count, prompt),
    timings: timings(count, prompt),
  }),
};

const textShape: Shape = {
  first: () => '',
  token: ({ text }) => data(chunk({ text, finish_reason: null })),
  last: (count, finish, prompt) =>
    data(chunk({ text: '', finish_reason: finish })) + usageChunk(count, prompt) + done,
  whole: (text, _ids, count, finish, prompt) => ({
    id: 'cmpl-fake',
    object: 'text_completion',
    choices: [{ index: 0, text, finish_reason: finish, logprobs: null }],
    usage: usage(count, prompt),
    timings: timings(count, prompt),
  }),
};

const done = 'data: [DONE]\n\n';
const chunk = (choice: Record<string, unknown>) => ({ id: 'fake', choices: [{ index: 0, ...choice }] });
const usageChunk = (count: number, prompt: FakePrompt): string =>
  data({ id: 'fake', choices: [], usage: usage(count, prompt), timings: timings(count, prompt) });

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
  console.error(`listening on ${fake.url}`);
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
}
