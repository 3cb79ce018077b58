import { commonEnv, durationMs, port, readEnv } from '@drover/runtime';
import { z } from 'zod';

/** docs/configuration.md has every variable. */
export const ingressShape = {
  ...commonEnv,
  HTTP_HOST: z.string().default('127.0.0.1'),
  HTTP_PORT: port.default(8080),
  METRICS_HOST: z.string().default('127.0.0.1'),
  METRICS_PORT: port.default(9090),
  /** JSON file of hashed API keys; read again when it changes. */
  API_KEYS_FILE: z.string().min(1),
  /** JSON file of the secrets of signing clients; without it signatures are refused. */
  HMAC_KEYS_FILE: z.string().optional(),
  /** How long a client waits that does not say, and at most. */
  DEADLINE_DEFAULT_MS: durationMs.default(120_000),
  DEADLINE_MAX_MS: durationMs.default(3_600_000),
  /** A stream that is quiet for so long gets a comment, so that nothing between us and the client gives it up. */
  KEEPALIVE_MS: durationMs.default(2_000),
  /** How long a reader with a full buffer may go without reading before it is dropped. */
  SLOW_READER_MS: durationMs.default(10_000),
  /** Agents report every second: a report older than this is no evidence of a cluster that could serve. */
  REPORT_STALE_MS: durationMs.default(3_000),
  /** How long open answers may take to finish when the process is told to stop. */
  STOP_GRACE_MS: durationMs.default(10_000),
};

export type Config = Readonly<z.infer<z.ZodObject<typeof ingressShape>>>;

export const readConfig = (env: NodeJS.ProcessEnv): Config => readEnv(ingressShape, env);
