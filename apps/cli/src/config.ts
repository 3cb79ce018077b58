import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CommonEnv } from '@drover/runtime';
import { permissions } from '@drover/schemas';

export const projectRoot = fileURLToPath(new URL('../../../', import.meta.url));

/**
 * How NATS is reached: `NATS_URL` and the other variables that every process knows, and where they are absent, the local
 * run with the key of its operator. The only reader of the environment here.
 */
export function connectionFrom(env: NodeJS.ProcessEnv): CommonEnv {
  const given = (name: string): string | undefined => env[name] || undefined;
  const localKey = join(stateDirOf(env), 'keys/operator.nk');
  const nkeyFile = given('NATS_NKEY_FILE') ?? (existsSync(localKey) ? localKey : undefined);
  const optional = Object.fromEntries(
    ['NATS_CA_FILE', 'NATS_CERT_FILE', 'NATS_KEY_FILE', 'NATS_DOMAIN'].flatMap((name) => {
      const value = given(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  return {
    NATS_URL: given('NATS_URL') ?? `nats://127.0.0.1:${given('NATS_PORT') ?? 4222}`,
    NATS_INBOX_PREFIX: given('NATS_INBOX_PREFIX') ?? permissions.operator().inboxPrefix,
    LOG_LEVEL: 'fatal',
    ...(nkeyFile === undefined ? {} : { NATS_NKEY_FILE: nkeyFile }),
    ...optional,
  };
}

/** Where a local run keeps what it makes; as `npm start` has it. */
export const stateDirOf = (env: NodeJS.ProcessEnv): string =>
  resolve(env.DROVER_STATE_DIR || join(projectRoot, '.drover'));

/** Who asks, as far as this machine knows. */
export const operatorName = (env: NodeJS.ProcessEnv): string =>
  (env.DROVER_OPERATOR || env.USER || userInfo().username || 'operator').slice(0, 100);
