import type { Endpoint, Usage } from '@drover/schemas';

/** What every chunk and every answer of one request says about itself. */
export type Identity = {
  readonly endpoint: Endpoint;
  /** `chatcmpl-…`, `cmpl-…`. */
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  /** The model that really answered. */
  readonly model: string;
};

/** OpenAI's `usage`. */
export const openAiUsage = (usage: Usage) => ({
  prompt_tokens: usage.promptTokens,
  completion_tokens: usage.completionTokens,
  total_tokens: usage.promptTokens + usage.completionTokens,
  ...(usage.cachedTokens === undefined
    ? {}
    : { prompt_tokens_details: { cached_tokens: usage.cachedTokens } }),
});

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
