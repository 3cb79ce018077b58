import type { FakePrompt } from './fake-llama-text.ts';

export type Finish = 'stop' | 'length';
type Said = {
  readonly id: number;
  readonly text: string;
  readonly count: number;
  /** The request asked for `timings_per_token`. */
  readonly timed: boolean;
};
type Over = { readonly count: number; readonly finish: Finish; readonly prompt: FakePrompt };

/** How an endpoint of llama.cpp words what is said. */
export type Shape = {
  first(): string;
  token(said: Said, prompt: FakePrompt): string;
  last(over: Over): string;
  whole(over: Over & { readonly text: string; readonly ids: readonly number[] }): unknown;
};

const timings = (count: number, prompt: FakePrompt) => ({
  cache_n: 0,
  prompt_n: prompt.length + prompt.said,
  prompt_ms: 1,
  predicted_n: count,
  predicted_ms: count,
});

const timed = ({ timed, count }: Omit<Said, 'text'>, prompt: FakePrompt) =>
  timed ? { timings: timings(count, prompt) } : {};

const data = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;

export const completionShape: Shape = {
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
  last: ({ count, finish, prompt }) =>
    data({ ...completionEnd(count, finish, prompt), content: '', tokens: [] }),
  whole: ({ text, ids, count, finish, prompt }) => ({
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

export const chatShape: Shape = {
  first: () => data(chunk({ delta: { role: 'assistant', content: null }, finish_reason: null })),
  token: ({ text, ...said }, prompt) =>
    data({ ...chunk({ delta: { content: text }, finish_reason: null }), ...timed(said, prompt) }),
  last: ({ count, finish, prompt }) =>
    data(chunk({ delta: {}, finish_reason: finish })) + usageChunk(count, prompt) + done,
  whole: ({ text, count, finish, prompt }) => ({
    id: 'chatcmpl-fake',
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: finish }],
    usage: usage(count, prompt),
    timings: timings(count, prompt),
  }),
};

export const textShape: Shape = {
  first: () => '',
  token: ({ text, ...said }, prompt) =>
    data({ ...chunk({ text, finish_reason: null }), ...timed(said, prompt) }),
  last: ({ count, finish, prompt }) =>
    data(chunk({ text: '', finish_reason: finish })) + usageChunk(count, prompt) + done,
  whole: ({ text, count, finish, prompt }) => ({
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
