import type { OpenAiCall } from './call.ts';

/** What a chat template may put around one message, and around all of them, in tokens. */
const perMessage = 64;
const perPrompt = 512;
/** A provider may write the schema of a tool with line breaks and indents: so much longer than it came. */
const toolsGrowth = 4;
/** Of English text; a guess for rate limits only, corrected by the provider's own count. */
const bytesPerToken = 4;

type Tokens = { readonly prompt: number; readonly output: number };

/**
 * Pure. More tokens than a call can be charged for: a bound, not an estimate. No tokenizer makes more tokens of a text than
 * it has bytes. @param contextTokens of the model; what an image or a sound may take at most
 */
export function tokensBound({ body }: OpenAiCall, contextTokens: number): Tokens {
  const messages = Array.isArray(body.messages) ? body.messages : [];
  const prompts = promptsIn(body);
  const tools = body.tools ? bytesOf(body.tools) * (toolsGrowth - 1) : 0;
  const bound = bytesOf(body) + perMessage * messages.length + perPrompt * prompts + tools;
  const prompt = messages.some(hasMedia) ? Math.max(bound, contextTokens) : bound;
  return { prompt, output: limitOf(body) * choicesOf(body) * prompts };
}

/** Pure. About how many tokens a call takes off the limit per minute: providers count what was asked for. */
export function tokensGuess({ body }: OpenAiCall): number {
  return Math.ceil(bytesOf(body) / bytesPerToken) + limitOf(body) * choicesOf(body) * promptsIn(body);
}

const bytesOf = (value: unknown): number => new TextEncoder().encode(JSON.stringify(value)).length;

const limitOf = (body: OpenAiCall['body']): number =>
  Math.max(0, ...[body.max_tokens, body.max_completion_tokens].filter(isCount));

const choicesOf = (body: OpenAiCall['body']): number =>
  Math.max(1, ...[body.n, body.best_of].filter(isCount));

function promptsIn({ prompt, input }: OpenAiCall['body']): number {
  const prompts = prompt ?? input;
  return Array.isArray(prompts) && typeof prompts[0] !== 'number' ? Math.max(1, prompts.length) : 1;
}

const hasMedia = (message: unknown): boolean =>
  isRecord(message) &&
  Array.isArray(message.content) &&
  message.content.some((part: unknown) => isRecord(part) && part.type !== 'text');

const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
