import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { z } from 'zod';

/** What goes wrong; change it at any time. */
export type ProviderFaults = {
  /** Answers requests with this status, and OpenAI's error envelope. */
  status?: number | undefined;
  headers?: Record<string, string> | undefined;
  code?: string | undefined;
  /** Resets the connection after so many tokens. */
  killAfterTokens?: number | undefined;
  /** Status of `/models`, which is asked for the provider's health. */
  modelsStatus?: number | undefined;
};

export type FakeProvider = AsyncDisposable & {
  /** What an agent is given as the base URL. */
  readonly url: string;
  readonly faults: ProviderFaults;
  readonly calls: { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: Body }[];
};

const bodySchema = z.looseObject({
  model: z.string(),
  stream: z.boolean().optional(),
  max_tokens: z.number().optional(),
  max_completion_tokens: z.number().optional(),
});
type Body = z.infer<typeof bodySchema>;

/** Tokens that every prompt is said to have. */
export const fakePromptTokens = 10;

/** A provider with OpenAI's interface that answers at once, counts ten tokens for any prompt, and keeps what it was sent. */
export async function startFakeProvider(options: { readonly tokenMs?: number } = {}): Promise<FakeProvider> {
  const faults: ProviderFaults = {};
  const calls: FakeProvider['calls'] = [];
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}/v1`,
    faults,
    calls,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'GET') {
      sendJson(response, faults.modelsStatus ?? 200, { object: 'list', data: [] });
      return;
    }
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const body = bodySchema.parse(JSON.parse(text));
    const path = request.url ?? '';
    calls.push({ path, headers: request.headers, body });
    if (faults.status !== undefined) {
      const error = { message: 'the fake was told to', code: faults.code ?? null };
      for (const [name, value] of Object.entries(faults.headers ?? {})) response.setHeader(name, value);
      sendJson(response, faults.status, { error });
      return;
    }
    if (path === '/v1/embeddings') {
      const data = [{ object: 'embedding', index: 0, embedding: [0.1, 0.2] }];
      const usage = { prompt_tokens: fakePromptTokens, total_tokens: fakePromptTokens };
      sendJson(response, 200, { object: 'list', data, model: body.model, usage });
      return;
    }
    const tokens = Math.min(body.max_completion_tokens ?? body.max_tokens ?? 20, 20);
    if (body.stream) await stream(response, body.model, tokens);
    else sendJson(response, 200, whole(body.model, tokens));
  }

  async function stream(response: ServerResponse, model: string, tokens: number): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const say = (value: unknown) => response.write(`data: ${JSON.stringify(value)}\n\n`);
    for (let token = 0; token < tokens; token++) {
      if (token === faults.killAfterTokens) {
        response.destroy();
        return;
      }
      say({ model, choices: [{ index: 0, delta: { content: wordOf(token) }, finish_reason: null }] });
      await new Promise((resolve) => setTimeout(resolve, options.tokenMs ?? 1));
    }
    say({ model, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
    say({ model, choices: [], usage: usageOf(tokens) });
    response.end('data: [DONE]\n\n');
  }
}

export const fakeWords = (tokens: number): string =>
  Array.from({ length: tokens }, (_, i) => wordOf(i)).join('');
const wordOf = (token: number): string => ` word${token}`;

const usageOf = (tokens: number) => ({
  prompt_tokens: fakePromptTokens,
  completion_tokens: tokens,
  total_tokens: fakePromptTokens + tokens,
});

const whole = (model: string, tokens: number) => ({
  id: 'chatcmpl-fake',
  object: 'chat.completion',
  created: 1,
  model,
  choices: [{ index: 0, message: { role: 'assistant', content: fakeWords(tokens) }, finish_reason: 'stop' }],
  usage: usageOf(tokens),
});

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}
