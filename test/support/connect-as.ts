import { connectNats, createLogger, type Nats } from '@drover/runtime';
import type { System } from '../../infra/local/src/system.ts';

/** A connection to a system's NATS with the rights of one of its roles, closed with `await using`. */
export async function connectAs(system: System, role: string): Promise<Nats & AsyncDisposable> {
  const credential = system.credential(role);
  const nats = await connectNats(
    `test-${role}`,
    {
      NATS_URL: system.natsUrl,
      NATS_INBOX_PREFIX: credential?.inboxPrefix ?? '_INBOX',
      LOG_LEVEL: 'fatal',
      ...(credential === undefined ? {} : { NATS_NKEY_FILE: credential.nkeyFile }),
    },
    createLogger('test', 'fatal'),
  );
  return Object.assign(nats, { [Symbol.asyncDispose]: () => nats.nc.close() });
}
