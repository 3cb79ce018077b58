import { commonEnv, durationMs, port, readEnv } from '@drover/runtime';
import { agentId, clusterId, writers } from '@drover/schemas';
import { z } from 'zod';
import { clouds } from './core/spot/notice.ts';

const shape = {
  ...commonEnv,
  /** The cluster that this agent works for; its jobs consumer has the same name. */
  CLUSTER: clusterId.refine((name) => !Object.hasOwn(writers, name), 'this name is reserved'),
  AGENT_ID: agentId.optional(),
  /** The llama.cpp server beside this agent. */
  LLAMA_URL: z.url({ protocol: /^https?$/ }),
  /** What the model is called on offer; default: the name that llama.cpp gives it. */
  MODEL_NAME: z.string().min(1).optional(),
  /** SHA-256 of the model file; default: a hash of what llama.cpp says about the model. */
  MODEL_SHA256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'use 64 lower-case hexadecimal digits')
    .optional(),
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
  /** How often llama.cpp is asked for its health. */
  HEALTH_INTERVAL_MS: durationMs.default(500),
  /** A reply that has begun and says nothing for this long (or 20 times its usual gap) is given up. */
  STALL_MS: durationMs.default(15_000),
  /** `off`: no figures until the first jobs have run. */
  BENCHMARK: z.enum(['on', 'off']).default('on'),
};

/** Reads the environment; ends the process with code 78 when something in it cannot be used. */
export const readConfig = (env: NodeJS.ProcessEnv) => readEnv(shape, env);
export type Config = ReturnType<typeof readConfig>;
