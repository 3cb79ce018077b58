import type { ChatBody, CompletionBody, Request } from '@drover/schemas';

/** Where the prompt of a `tokens` call comes from: llama.cpp's chat template, a text, or token ids. */
export type PromptSource =
  | { readonly kind: 'chat'; readonly template: Readonly<Record<string, unknown>> }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'ids'; readonly ids: readonly number[] };

/** How a request is put to llama.cpp; the mode decides what a unit is and whether an interrupted reply can go on. */
export type Call =
  | {
      readonly mode: 'tokens';
      readonly source: PromptSource;
      /** Sampling and everything else that `/completion` takes, without prompt and length. */
      readonly fields: Readonly<Record<string, unknown>>;
      /** What the client allows for the whole reply; undefined: as much as the context holds. */
      readonly maxTokens: number | undefined;
    }
  | {
      readonly mode: 'deltas' | 'body';
      readonly path: string;
      readonly body: Readonly<Record<string, unknown>>;
    };

/** Pure. Chooses the mode (see "Units and modes" in docs/architecture.md) and the call to llama.cpp. */
export function planCall(request: Request): Call {
  switch (request.endpoint) {
    case 'chat': {
      const source = isPlainChat(request.body) ? chatSource(request.body) : undefined;
      return source ? tokensCall(source, request.body) : openAiCall('/v1/chat/completions', request.body);
    }
    case 'completion': {
      const source = isPlainCompletion(request.body) ? completionSource(request.body) : undefined;
      return source ? tokensCall(source, request.body) : openAiCall('/v1/completions', request.body);
    }
    case 'embedding':
      return { mode: 'body', path: '/v1/embeddings', body: request.body };
  }
}

/**
 * The body for `/completion` that says the next tokens after `prior` units.
 * @param prompt the text of a fresh reply, or prompt ids followed by the ids that were already said
 * @param contextTokens bounds a reply whose client gave no limit
 */
export function completionBody(
  call: Extract<Call, { mode: 'tokens' }>,
  prompt: string | readonly number[],
  prior: number,
  contextTokens: number,
): Record<string, unknown> {
  const limit = call.maxTokens ?? Math.max(1, contextTokens);
  return { ...call.fields, prompt, n_predict: limit - prior, stream: true, return_tokens: true };
}

type GenerationBody = ChatBody | CompletionBody;

function tokensCall(source: PromptSource, body: GenerationBody): Call {
  return { mode: 'tokens', source, fields: passedFields(body), maxTokens: maxTokensOf(body) };
}

function openAiCall(path: string, body: GenerationBody): Call {
  if (!body.stream) return { mode: 'body', path, body: { ...body, stream: false } };
  // The usage chunk has no choices: it feeds the outcome and reaches no reader as a unit.
  return {
    mode: 'deltas',
    path,
    body: { ...withoutIdleTools(body), stream_options: { include_usage: true } },
  };
}

/**
 * llama.cpp refuses tools together with logprobs in a stream, even where the client forbids every call
 * (`tool_choice: "none"`). Such tools cannot be used, so they are left out there, and nowhere else.
 */
function withoutIdleTools(body: GenerationBody): Record<string, unknown> {
  if (body.tool_choice !== 'none' || isAbsentOrEmpty(body.logprobs)) return body;
  const { tools: _tools, tool_choice: _choice, parallel_tool_calls: _parallel, ...rest } = body;
  return rest;
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null;
const isAbsentOrEmpty = (value: unknown): boolean =>
  isAbsent(value) || value === false || value === 0 || (Array.isArray(value) && value.length === 0);

function isPlainChat(body: ChatBody): boolean {
  return (
    (body.n ?? 1) === 1 &&
    isAbsentOrEmpty(body.tools) &&
    isAbsentOrEmpty(body.functions) &&
    (isAbsent(body.response_format) || body.response_format?.type === 'text') &&
    isAbsentOrEmpty(body.logprobs) &&
    isAbsentOrEmpty(body.top_logprobs) &&
    // Splitting reasoning from the answer is done by llama.cpp's own chat endpoint only.
    isAbsent(body.reasoning_format)
  );
}

function isPlainCompletion(body: CompletionBody): boolean {
  return (
    (body.n ?? 1) === 1 &&
    (body.best_of ?? 1) === 1 &&
    isAbsentOrEmpty(body.echo) &&
    isAbsent(body.suffix) &&
    isAbsent(body.logprobs)
  );
}

/** Undefined when some content is not text. */
function chatSource(body: ChatBody): PromptSource | undefined {
  const allText = body.messages.every(
    ({ content }) => !Array.isArray(content) || content.every((part) => part.type === 'text'),
  );
  if (!allText) return undefined;
  const template: Record<string, unknown> = { messages: body.messages };
  for (const key of templateFields) if (!isAbsent(body[key])) template[key] = body[key];
  return { kind: 'chat', template };
}

/** Undefined when there is more than one prompt. */
function completionSource({ prompt }: CompletionBody): PromptSource | undefined {
  if (typeof prompt === 'string') return { kind: 'text', text: prompt };
  const [first] = prompt;
  if (typeof first === 'number') return { kind: 'ids', ids: prompt.filter((id) => typeof id === 'number') };
  if (prompt.length !== 1 || first === undefined) return undefined;
  return typeof first === 'string' ? { kind: 'text', text: first } : { kind: 'ids', ids: first };
}

/** Chat's newer name wins; llama.cpp's own name is honoured when OpenAI's are absent. */
function maxTokensOf(body: GenerationBody): number | undefined {
  const given = body.max_completion_tokens ?? body.max_tokens ?? body.n_predict;
  return typeof given === 'number' && given >= 0 ? Math.floor(given) : undefined;
}

const templateFields = ['chat_template_kwargs', 'add_generation_prompt', 'continue_final_message'] as const;

/** Read elsewhere, meaningless to `/completion`, or changing the shape of its answer. All else passes, known or not. */
const heldBack: ReadonlySet<string> = new Set([
  ...templateFields,
  'model',
  'messages',
  'prompt',
  'stream',
  'stream_options',
  'n',
  'best_of',
  'echo',
  'suffix',
  'max_tokens',
  'max_completion_tokens',
  'n_predict',
  'n_cmpl',
  'user',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'functions',
  'function_call',
  'response_format',
  'logprobs',
  'top_logprobs',
  'n_probs',
  'post_sampling_probs',
  'return_tokens',
  'return_progress',
  'response_fields',
  'timings_per_token',
  'verbose',
  'id_slot',
]);

function passedFields(body: GenerationBody): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(body)) {
    if (!heldBack.has(key) && !isAbsent(value)) fields[key] = value;
  }
  if (typeof fields.stop === 'string') fields.stop = [fields.stop];
  return fields;
}
