import { z } from 'zod';

/** Exit code for a configuration that cannot be used (EX_CONFIG of sysexits.h). */
const exitConfig = 78;

/**
 * Reads the variables named in `shape` from `env`, once. Values that are empty strings count as absent. A bad
 * environment prints every problem at once and ends the process with code 78.
 */
export function readEnv<S extends z.ZodRawShape>(
  shape: S,
  env: NodeJS.ProcessEnv,
): Readonly<z.infer<z.ZodObject<S>>> {
  const given = Object.fromEntries(
    Object.entries(env).filter(([key, value]) => key in shape && value !== ''),
  );
  const result = z.object(shape).safeParse(given);
  if (result.success) return Object.freeze(result.data) as Readonly<z.infer<z.ZodObject<S>>>;
  for (const issue of result.error.issues)
    process.stderr.write(`config: ${issue.path.join('.')}: ${issue.message}\n`);
  process.exit(exitConfig);
}

/** A whole number of milliseconds, at least 1. */
export const durationMs = z.coerce.number().int().positive();
/** A TCP port; 0 lets the system choose. */
export const port = z.coerce.number().int().min(0).max(65_535);

/** What every process may be told: where NATS is, who it is there, how it logs. */
export const commonEnv = {
  NATS_URL: z.string().min(1),
  /** File with the seed of this process's nkey. */
  NATS_NKEY_FILE: z.string().optional(),
  /** File with the certificate authority, and the process's own certificate and key, for mutual TLS. */
  NATS_CA_FILE: z.string().optional(),
  NATS_CERT_FILE: z.string().optional(),
  NATS_KEY_FILE: z.string().optional(),
  /** Every role has an inbox of its own, so that none can read another's replies. */
  NATS_INBOX_PREFIX: z.string().default('_INBOX'),
  /** JetStream domain of the hub, when this process reaches it through a leaf node. */
  NATS_DOMAIN: z.string().optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
};
export type CommonEnv = Readonly<z.infer<z.ZodObject<typeof commonEnv>>>;
