import { randomBytes } from 'node:crypto';
import { commonEnv, port, readEnv } from '@drover/runtime';
import { clusterId, writers } from '@drover/schemas';
import { z } from 'zod';

/** The only reader of the environment. A bad one is printed whole and ends the process with code 78. */
export const schedulerConfig = (env: NodeJS.ProcessEnv) =>
  readEnv(
    {
      ...commonEnv,
      /** Tells schedulers apart in logs and decisions. */
      SCHEDULER_ID: z
        .string()
        .regex(/^[A-Za-z0-9_-]{1,64}$/)
        .default(() => randomBytes(4).toString('hex')),
      METRICS_HOST: z.string().default('127.0.0.1'),
      METRICS_PORT: port.default(9091),
    },
    env,
  );

const clusterName = clusterId.refine(
  (name) => !Object.hasOwn(writers, name),
  'this name is a reserved writer',
);

export const bootstrapConfig = (env: NodeJS.ProcessEnv) =>
  readEnv(
    {
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
    },
    env,
  );
