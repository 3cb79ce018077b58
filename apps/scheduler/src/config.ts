import { randomBytes } from 'node:crypto';
import { commonEnv, durationMs, port, readEnv } from '@drover/runtime';
import { clusterId, writers } from '@drover/schemas';
import { z } from 'zod';

/** docs/configuration.md has every variable. */
export const schedulerShape = {
  ...commonEnv,
  /** Tells schedulers apart in logs and decisions. */
  SCHEDULER_ID: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/)
    .default(() => randomBytes(4).toString('hex')),
  METRICS_HOST: z.string().default('127.0.0.1'),
  METRICS_PORT: port.default(9091),
};

/** The only reader of the environment. A bad one is printed whole and ends the process with code 78. */
export const schedulerConfig = (env: NodeJS.ProcessEnv) => readEnv(schedulerShape, env);

const clusterName = clusterId.refine(
  (name) => !Object.hasOwn(writers, name),
  'this name is a reserved writer',
);

const whole = z.coerce.number().int().positive();

/** How long and how much is kept; docs/operate.md says what each setting means to whom. */
export const retentionEnv = {
  REPLIES_KEPT_MINUTES: whole.default(10),
  REPLIES_MAX_MIB: whole.default(512),
  EVENTS_KEPT_HOURS: whole.default(24),
  DECISIONS_KEPT_HOURS: whole.default(24),
  DECISIONS_MAX_MIB: whole.default(1024),
  LEDGER_KEPT_DAYS: whole.default(32),
  DEAD_LETTERS_KEPT_DAYS: whole.default(7),
  DEAD_LETTERS_MAX_MIB: whole.default(1024),
  /** The longest that a request may take, as the ingress has it: what belongs to one must be kept for longer. */
  DEADLINE_MAX_MS: durationMs.default(3_600_000),
};
export type RetentionEnv = Readonly<z.infer<z.ZodObject<typeof retentionEnv>>>;

export const bootstrapShape = {
  ...commonEnv,
  /** Names of the clusters, separated by commas. */
  CLUSTERS: z
    .string()
    .transform((names) => names.split(',').map((name) => name.trim()))
    .pipe(z.array(clusterName).min(1)),
  /** Copies of each file stream: 1 on one server, 3 on the hub. */
  REPLICAS: z.coerce.number().int().min(1).max(5).default(1),
  /** JSON files whose content is put into KV where the key is absent. */
  POLICY_FILE: z.string().optional(),
  MODELS_FILE: z.string().optional(),
  PRICES_FILE: z.string().optional(),
  ...retentionEnv,
};

export const bootstrapConfig = (env: NodeJS.ProcessEnv) => readEnv(bootstrapShape, env);
