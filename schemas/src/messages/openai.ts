import { z } from 'zod';

/**
 * The OpenAI request bodies. What Drover itself reads is typed here; every other field is carried to llama.cpp
 * unharmed, whether OpenAI or llama.cpp defined it.
 */
const stop = z.union([z.string(), z.array(z.string()).max(16)]).nullish();
const streamOptions = z.looseObject({ include_usage: z.boolean().nullish() }).nullish();

const generation = {
  model: z.string().min(1),
  stream: z.boolean().nullish(),
  stream_options: streamOptions,
  n: z.int().min(1).max(16).nullish(),
  stop,
  seed: z.int().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  logit_bias: z.record(z.string(), z.number()).nullish(),
  max_tokens: z.int().min(0).nullish(),
  user: z.string().nullish(),
};

const contentPart = z.looseObject({ type: z.string() });

export const chatMessage = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
  content: z.union([z.string(), z.array(contentPart)]).nullish(),
});

export const chatBody = z.looseObject({
  ...generation,
  messages: z.array(chatMessage).min(1),
  max_completion_tokens: z.int().min(0).nullish(),
  response_format: z.looseObject({ type: z.string() }).nullish(),
  tools: z.array(z.looseObject({ type: z.string() })).nullish(),
  logprobs: z.boolean().nullish(),
});

export const completionBody = z.looseObject({
  ...generation,
  prompt: z.union([z.string(), z.array(z.string()), z.array(z.int()), z.array(z.array(z.int()))]),
  echo: z.boolean().nullish(),
  suffix: z.string().nullish(),
  best_of: z.int().nullish(),
  logprobs: z.int().min(0).max(5).nullish(),
});

export const embeddingBody = z.looseObject({
  model: z.string().min(1),
  input: z.union([
    z.string(),
    z.array(z.string()).min(1),
    z.array(z.int()).min(1),
    z.array(z.array(z.int())).min(1),
  ]),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.int().min(1).nullish(),
  user: z.string().nullish(),
});

export type ChatBody = z.infer<typeof chatBody>;
export type CompletionBody = z.infer<typeof completionBody>;
export type EmbeddingBody = z.infer<typeof embeddingBody>;
