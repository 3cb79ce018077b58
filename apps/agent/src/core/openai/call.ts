import type { ChatBody, CompletionBody, Request } from '@drover/schemas';
import type { Call } from '../call.ts';

/** How a model is called and asked at its provider. */
export type ProviderModel = {
  /** The provider's own name of it. */
  readonly name: string;
  /** What the provider calls the limit on output tokens of a chat: older models one thing, newer ones another. */
  readonly limitField: 'max_tokens' | 'max_completion_tokens';
  /** The most output tokens that a request may have; also the limit of one that has none. */
  readonly outputTokensMax: number;
};

/** Pure. A request as the provider's own OpenAI endpoint takes it, streamed if the client wants a stream. */
export function planProviderCall(request: Request, model: ProviderModel): OpenAiCall {
  switch (request.endpoint) {
    case 'chat':
      return generation('/chat/completions', request.body, model, model.limitField);
    case 'completion':
      return generation('/completions', request.body, model, 'max_tokens');
    case 'embedding':
      return { mode: 'body', path: '/embeddings', body: { ...request.body, model: model.name } };
  }
}

export type OpenAiCall = Extract<Call, { mode: 'deltas' | 'body' }>;

function generation(
  path: string,
  body: ChatBody | CompletionBody,
  model: ProviderModel,
  limitField: string,
): OpenAiCall {
  const asked = {
    ...withoutOurs(body),
    model: model.name,
    [limitField]: Math.min(limitOf(body) ?? model.outputTokensMax, model.outputTokensMax),
  };
  if (!body.stream) return { mode: 'body', path, body: asked };
  return { mode: 'deltas', path, body: { ...asked, stream: true, stream_options: { include_usage: true } } };
}

/** llama.cpp's hints, which change no answer and which a strict provider refuses; and what is said in its own way. */
const held: ReadonlySet<string> = new Set([
  'model',
  'max_tokens',
  'max_completion_tokens',
  'n_predict',
  'stream',
  'stream_options',
  'cache_prompt',
  'id_slot',
  'timings_per_token',
  'return_progress',
]);

const withoutOurs = (body: ChatBody | CompletionBody): Record<string, unknown> =>
  Object.fromEntries(Object.entries(body).filter(([key, value]) => !held.has(key) && value !== null));

/** The least limit of all that are given, under whatever name. */
function limitOf(body: ChatBody | CompletionBody): number | undefined {
  const given = [body.max_completion_tokens, body.max_tokens, body.n_predict].filter(
    (value): value is number => typeof value === 'number' && value >= 0,
  );
  return given.length === 0 ? undefined : Math.floor(Math.min(...given));
}
