import type { Logger } from './log.ts';

/**
 * Runs `stop` once on SIGTERM or SIGINT and then exits. A broken invariant (an uncaught error) is logged and ends the
 * process with code 1: what it held is redelivered to another.
 */
export function runUntilSignal(log: Logger, stop: () => Promise<void>): void {
  let stopping = false;
  const onSignal = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'stopping');
    await stop().catch((error) => log.error({ error: String(error) }, 'stop failed'));
    log.info('stopped');
    process.exit(0);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  const onBug = (error: unknown) => {
    log.fatal({ error: error instanceof Error ? error.stack : String(error) }, 'uncaught');
    process.exit(1);
  };
  process.on('uncaughtException', onBug);
  process.on('unhandledRejection', onBug);
}
