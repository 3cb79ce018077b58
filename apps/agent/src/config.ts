import { commonEnv, durationMs, port, readEnv } from '@drover/runtime';
import { agentId, clusterId, endpoint, writers } from '@drover/schemas';
import { z } from 'zod';
import { clouds } from './core/spot/notice.ts';

const common = {
  ...commonEnv,
  /** The cluster that this agent works for; its jobs consumer has the same name. */
  CLUSTER: clusterId.refine((name) => !Object.hasOwn(writers, name), 'this name is reserved'),
  AGENT_ID: agentId.optional(),
  METRICS_HOST: z.string().default('127.0.0.1'),
  METRICS_PORT: port.default(9101),
  /** The least time between two messages of a streamed reply after the first. */
  FLUSH_MS: z.coerce.number().int().min(0).default(5),
  /** How long running jobs may take to finish after SIGTERM before they are given back. */
  DRAIN_MS: z.coerce.number().int().min(0).default(10_000),
  /** The cloud whose metadata service is asked whether this machine will be taken away. */
  SPOT_NOTICE: z.enum(['off', ...clouds]).default('off'),
  /** A metadata service elsewhere than the cloud has its own; without a slash at the end. */
  SPOT_METADATA_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** How often it is asked. */
  SPOT_POLL_MS: durationMs.default(1_000),
  /** How long running jobs may go on after a notice, if the machine stays that long; 0 hands them over at once. */
  SPOT_DRAIN_MS: z.coerce.number().int().min(0).default(0),
  /** A reply that has begun and says nothing for this long (or 20 times its usual gap) is given up. */
  STALL_MS: durationMs.default(15_000),
  /** `off`: no figures until the first jobs have run. */
  BENCHMARK: z.enum(['on', 'off']).default('on'),
};

/** Beside a llama.cpp; docs/configuration.md has every variable. */
export const llamaShape = {
  ...common,
  /** What answers: the llama.cpp beside this agent, or a provider with OpenAI's interface. */
  LLM_BACKEND: z.literal('llama', 'use llama or openai').default('llama'),
  /** The llama.cpp server beside this agent. */
  LLAMA_URL: z.url({ protocol: /^https?$/ }),
  /** What the model is called on offer; default: the name that llama.cpp gives it. */
  MODEL_NAME: z.string().min(1).optional(),
  /** SHA-256 of the model file; default: a hash of what llama.cpp says about the model. */
  MODEL_SHA256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'use 64 lower-case hexadecimal digits')
    .optional(),
  /** How often llama.cpp is asked for its health. */
  HEALTH_INTERVAL_MS: durationMs.default(500),
};

const usd = z.coerce.number().min(0);
const perMinute = z.coerce.number().positive();

/** In front of a provider. */
export const providerShape = {
  ...common,
  LLM_BACKEND: z.literal('openai'),
  /** Where the provider's `/chat/completions` is, without that; mostly ends in `/v1`. */
  OPENAI_BASE_URL: z.url({ protocol: /^https?$/ }),
  /** The key, or a file with it; neither for a server that asks for none. */
  OPENAI_API_KEY: z.string().min(1).optional(),
  OPENAI_API_KEY_FILE: z.string().min(1).optional(),
  /** What the model is called on offer. */
  MODEL_NAME: z.string().min(1),
  /** What the provider calls it; default: the same. */
  OPENAI_MODEL: z.string().min(1).optional(),
  /** The context of the model, in tokens, as the provider states it. */
  OPENAI_CONTEXT_TOKENS: z.coerce.number().int().positive(),
  /** The most output tokens of one answer, and the limit of a request that has none; default: the context. */
  OPENAI_OUTPUT_TOKENS_MAX: z.coerce.number().int().positive().optional(),
  /** What the provider calls the limit of a chat. */
  OPENAI_LIMIT_FIELD: z.enum(['max_tokens', 'max_completion_tokens']).default('max_tokens'),
  /** What may be asked there, separated by commas. */
  OPENAI_ENDPOINTS: z
    .string()
    .default('chat')
    .transform((list) => list.split(',').map((name) => name.trim()))
    .pipe(z.array(endpoint).min(1)),
  /** Requests at a time. */
  OPENAI_SLOTS: z.coerce.number().int().positive().default(8),
  /** What the account may use per minute; absent: only the provider's own refusals count. */
  OPENAI_REQUESTS_PER_MINUTE: perMinute.optional(),
  OPENAI_TOKENS_PER_MINUTE: perMinute.optional(),
  /** How many minutes' worth may be used at once after a silence. */
  OPENAI_BURST: z.coerce.number().positive().default(1),
  /** The most that may be spent in a UTC day and month; absent: no limit. */
  OPENAI_BUDGET_USD_PER_DAY: usd.optional(),
  OPENAI_BUDGET_USD_PER_MONTH: usd.optional(),
  OPENAI_CONNECT_MS: durationMs.default(5_000),
  /** How long the provider may be silent, before its answer and in it. */
  OPENAI_TIMEOUT_MS: durationMs.default(120_000),
  /** How often the provider is asked whether it is there. */
  HEALTH_INTERVAL_MS: durationMs.default(10_000),
};

/** Reads the environment; ends the process with code 78 when something in it cannot be used. */
export const readConfig = (env: NodeJS.ProcessEnv): Config =>
  env.LLM_BACKEND === 'openai' ? readEnv(providerShape, env) : readEnv(llamaShape, env);

export type LlamaConfig = ReturnType<typeof readEnv<typeof llamaShape>>;
export type ProviderConfig = ReturnType<typeof readEnv<typeof providerShape>>;
export type Config = LlamaConfig | ProviderConfig;
