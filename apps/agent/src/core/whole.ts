import type { Usage } from '@drover/schemas';

type Fields = Readonly<Record<string, unknown>>;

/** A stream of one of llama.cpp's OpenAI endpoints that was read to its end. */
export type Streamed = {
  readonly endpoint: 'chat' | 'completion';
  /** The choices of every chunk, in order. */
  readonly choices: readonly Fields[];
  /** The first chunk, and the last. */
  readonly first: Fields;
  readonly last: Fields;
  readonly usage: Usage | undefined;
};

type Choice = { role: unknown; text: string; reasoning: string; logprobs: unknown[]; finish: unknown };

/**
 * Pure. The answer that llama.cpp gives to the same request when it is not asked for a stream, field by field; but the usage is of
 * all choices, where llama.cpp tells that of the first. Not for calls of tools, whose pieces are not those of the whole.
 */
export function wholeAnswer({ endpoint, choices, first, last, usage }: Streamed): Fields {
  const merged = new Map<number, Choice>();
  for (const piece of choices) {
    const index = typeof piece.index === 'number' ? piece.index : 0;
    const choice = merged.get(index) ?? {
      role: 'assistant',
      text: '',
      reasoning: '',
      logprobs: [],
      finish: null,
    };
    merged.set(index, choice);
    add(choice, piece);
  }
  const word = endpoint === 'chat' ? chatChoice : textChoice;
  const { created, model, system_fingerprint, id } = first;
  return {
    choices: [...merged].sort(([a], [b]) => a - b).map(([index, choice]) => word(index, choice)),
    created,
    model,
    system_fingerprint,
    object: endpoint === 'chat' ? 'chat.completion' : 'text_completion',
    ...(usage === undefined ? {} : { usage: usageOf(usage) }),
    id,
    ...(last.timings === undefined ? {} : { timings: last.timings }),
  };
}

function add(choice: Choice, { delta, text, logprobs, finish_reason: finish }: Fields): void {
  const said = isFields(delta) ? delta : {};
  choice.role = said.role ?? choice.role;
  choice.text += textIn(said.content) + textIn(text);
  choice.reasoning += textIn(said.reasoning_content);
  if (isFields(logprobs) && Array.isArray(logprobs.content)) choice.logprobs.push(...logprobs.content);
  choice.finish = finish ?? choice.finish;
}

const chatChoice = (index: number, { role, text, reasoning, logprobs, finish }: Choice): Fields => ({
  finish_reason: finish,
  index,
  message: { role, content: text, ...(reasoning === '' ? {} : { reasoning_content: reasoning }) },
  ...(logprobs.length === 0 ? {} : { logprobs: { content: logprobs } }),
});

const textChoice = (index: number, { text, logprobs, finish }: Choice): Fields => ({
  text,
  index,
  logprobs: logprobs.length === 0 ? null : { content: logprobs },
  finish_reason: finish,
});

const usageOf = ({ promptTokens, completionTokens, cachedTokens }: Usage): Fields => ({
  completion_tokens: completionTokens,
  prompt_tokens: promptTokens,
  total_tokens: promptTokens + completionTokens,
  prompt_tokens_details: { cached_tokens: cachedTokens ?? 0 },
});

const textIn = (value: unknown): string => (typeof value === 'string' ? value : '');

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
