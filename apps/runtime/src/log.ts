import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

const secret = /(SEED|SECRET|PASSWORD|TOKEN|API_KEY)/;

/** JSON lines on stdout. Prompts and answers never reach a logger; request ids do. */
export const createLogger = (app: string, level: string): Logger => pino({ level, base: { app } });

/** The configuration as it may be logged. */
export const redacted = (config: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(config).map(([key, value]) => [key, secret.test(key) ? '(redacted)' : value]),
  );
