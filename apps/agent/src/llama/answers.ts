import { z } from 'zod';

/** What Drover reads of llama.cpp's answers. Everything else in them is ignored. */
export const timings = z.object({
  cache_n: z.number().optional(),
  prompt_n: z.number(),
  prompt_ms: z.number(),
  predicted_n: z.number(),
  predicted_ms: z.number(),
});

export const errorAnswer = z.object({
  error: z.object({
    code: z.union([z.number(), z.string()]).optional(),
    message: z.string().optional(),
    type: z.string().optional(),
  }),
});

/** `/completion` with `stream` and `return_tokens`. */
export const tokenChunk = z.object({
  content: z.string(),
  tokens: z.array(z.int()).default([]),
  stop: z.literal(false),
  tokens_predicted: z.int(),
  tokens_evaluated: z.int(),
});

export const lastChunk = z.object({
  content: z.string().default(''),
  stop: z.literal(true),
  stop_type: z.string(),
  tokens_predicted: z.int(),
  tokens_evaluated: z.int(),
  timings: timings.optional(),
});

export const completionEvent = z.union([tokenChunk, lastChunk, errorAnswer]);

const openAiUsage = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int().optional(),
  prompt_tokens_details: z.object({ cached_tokens: z.int().optional() }).nullish(),
});

/** One chunk of `/v1/chat/completions` or `/v1/completions`. */
export const openAiChunk = z.object({
  choices: z.array(z.looseObject({ index: z.int().optional(), finish_reason: z.string().nullish() })),
  usage: openAiUsage.nullish(),
  timings: timings.optional(),
});

/** The answer of any OpenAI endpoint without streaming. */
export const openAiAnswer = z.object({
  choices: z.array(z.object({ finish_reason: z.string().nullish() })).optional(),
  usage: openAiUsage.optional(),
  timings: timings.optional(),
});

export const tokenizeAnswer = z.object({ tokens: z.array(z.int()) });
export const detokenizeAnswer = z.object({ content: z.string() });
export const templateAnswer = z.object({ prompt: z.string() });

export const propsAnswer = z.object({
  total_slots: z.int().positive(),
  default_generation_settings: z.object({ n_ctx: z.int().positive() }),
  chat_template: z.string().optional(),
});

export const modelsAnswer = z.object({
  data: z.array(z.object({ id: z.string(), meta: z.record(z.string(), z.unknown()).nullish() })).min(1),
});

export const slotsAnswer = z.array(z.object({ is_processing: z.boolean() }));

/** The same with what a slot has used of the request that it runs; absent where this llama.cpp does not tell. */
export const slotsDetail = z.array(
  z.object({
    is_processing: z.boolean(),
    n_prompt_tokens_processed: z.int().optional(),
    n_prompt_tokens_cache: z.int().optional(),
    params: z.object({ seed: z.number().optional() }).optional(),
    next_token: z.array(z.object({ n_decoded: z.int().optional() })).optional(),
  }),
);
