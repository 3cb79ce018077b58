import type { RequestInput } from '@drover/schemas';

/** What a chat template may put around one message (role, separators, end of turn), in tokens. */
const perMessage = 64;
/** What it may put around all of them (a system message of the model's own, the beginning of the answer), in tokens. */
const perPrompt = 512;
/** A template may write the schema of a tool with line breaks and indents: so much longer than it came. */
const toolsGrowth = 4;

type Body = RequestInput['body'];
type GenerationBody = Extract<RequestInput, { endpoint: 'chat' | 'completion' }>['body'];

/**
 * Pure. A body whose answer cannot be longer than a known number of tokens. One without a limit gets the model's context,
 * which it could not have exceeded; llama.cpp's own `n_predict: -1` (no limit, above all other fields) is left out.
 */
export function limited<T extends GenerationBody>(body: T, contextTokens: number): T {
  const endless = body.n_predict !== undefined && !isCount(body.n_predict);
  return {
    ...body,
    ...(endless ? { n_predict: undefined } : {}),
    ...(limitsOf(body).length === 0 ? { max_tokens: contextTokens } : {}),
  };
}

/**
 * Pure. More tokens than a request can ever be charged for: a bound, not an estimate. No tokenizer makes more tokens of a
 * text than it has bytes, and JSON is never shorter than the text in it.
 * @param bodyBytes length of the body as it was sent
 * @param contextTokens of the model; what an image or a sound may take at most
 */
export function tokensBound(body: Body, bodyBytes: number, contextTokens: number): number {
  return promptBound(body, bodyBytes, contextTokens) + outputBound(body, contextTokens);
}

function promptBound(body: Body, bodyBytes: number, contextTokens: number): number {
  const messages = 'messages' in body && Array.isArray(body.messages) ? body.messages : [];
  const tools = 'tools' in body && body.tools ? JSON.stringify(body.tools).length * (toolsGrowth - 1) : 0;
  const media = messages.some(
    (message) =>
      isRecord(message) &&
      Array.isArray(message.content) &&
      message.content.some((part: unknown) => isRecord(part) && part.type !== 'text'),
  );
  const bound = bodyBytes + perMessage * messages.length + perPrompt * promptsIn(body) + tools;
  return media ? Math.max(bound, contextTokens) : bound;
}

function outputBound(body: Body, contextTokens: number): number {
  if ('input' in body) return 0;
  const limits = limitsOf(body);
  // llama.cpp says one token when it is asked for none.
  const each = limits.length === 0 ? contextTokens : Math.max(1, ...limits);
  return each * choicesOf(body) * promptsIn(body);
}

/** Every name of the limit: which one llama.cpp honours depends on the endpoint. */
const limitsOf = (body: Readonly<Record<string, unknown>>): number[] =>
  [body.max_completion_tokens, body.max_tokens, body.n_predict].filter(isCount);

const choicesOf = (body: Readonly<Record<string, unknown>>): number =>
  Math.max(1, ...[body.n, body.n_cmpl, body.best_of].filter(isCount));

/** A completion may have several prompts, each with answers of its own. */
function promptsIn(body: Body): number {
  const prompts = 'prompt' in body ? body.prompt : 'input' in body ? body.input : undefined;
  if (!Array.isArray(prompts) || typeof prompts[0] === 'number') return 1;
  return Math.max(1, prompts.length);
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0;
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
