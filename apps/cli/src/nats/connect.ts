import { type CommonEnv, connectNats, createLogger, type Nats } from '@drover/runtime';
import { CliError } from '../errors.ts';

/** A person waits; a server that is there answers at once. */
const patienceMs = 5_000;

/** Connects, or says that it cannot. @throws CliError `unavailable` */
export async function connectOperator(env: CommonEnv): Promise<Nats> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () =>
      late.reject(
        new CliError(
          'unavailable',
          `NATS at ${env.NATS_URL} did not let us in within ${patienceMs / 1_000} s: is it running, and is ` +
            `${env.NATS_NKEY_FILE ?? 'connecting without a key'} allowed there?`,
        ),
      ),
    patienceMs,
  );
  try {
    return await Promise.race([connectNats('drover-cli', env, createLogger('cli', 'silent')), late.promise]);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError('unavailable', `NATS cannot be reached: ${String(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
