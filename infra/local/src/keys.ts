import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Grants, NatsUser } from '@drover/schemas';
import { nkeys } from 'nats';

/** What a process needs to be somebody on NATS. */
export type Credential = { readonly nkeyFile: string; readonly inboxPrefix: string };

/** Readable by its owner only. */
const secret = { mode: 0o600 };

/**
 * One nkey per role, made at the first start and kept in `folder`: a restart of one part needs no new configuration of
 * the server. `roles` maps the name of a role to what it may do.
 */
export function ensureKeys<Role extends string>(
  folder: string,
  roles: Readonly<Record<Role, Grants>>,
): { users: NatsUser[]; credentials: Record<Role, Credential> } {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const users: NatsUser[] = [];
  const credentials: Partial<Record<Role, Credential>> = {};
  for (const role of Object.keys(roles) as Role[]) {
    const nkeyFile = join(folder, `${role}.nk`);
    users.push({ nkey: publicKey(nkeyFile), grants: roles[role] });
    credentials[role] = { nkeyFile, inboxPrefix: roles[role].inboxPrefix };
  }
  // Every role of `roles` was visited just above.
  return { users, credentials: credentials as Record<Role, Credential> };
}

function publicKey(seedFile: string): string {
  if (!existsSync(seedFile)) writeFileSync(seedFile, nkeys.createUser().getSeed(), secret);
  return nkeys.fromSeed(new TextEncoder().encode(readFileSync(seedFile, 'utf8').trim())).getPublicKey();
}

/** The API key of the local tenant. The ingress is given only its hash. */
export type ApiKey = { readonly key: string; readonly keysFile: string };

/** Makes the API key at the first start: the key itself in `<folder>/api-key`, its hash in `<folder>/api-keys.json`. */
export function ensureApiKey(folder: string, tenant: string): ApiKey {
  const keyFile = join(folder, 'api-key');
  const keysFile = join(folder, 'api-keys.json');
  if (!existsSync(keyFile)) {
    writeFileSync(keyFile, `drover-${randomBytes(18).toString('base64url')}\n`, secret);
  }
  const key = readFileSync(keyFile, 'utf8').trim();
  const sha256 = createHash('sha256').update(key).digest('hex');
  // People add keys of their own to the file: it is only written when ours is not in it.
  const present = existsSync(keysFile) ? readFileSync(keysFile, 'utf8') : '';
  if (!present.includes(sha256)) {
    const keys = { v: 1, keys: [{ id: 'local', tenant, sha256 }] };
    writeFileSync(keysFile, `${JSON.stringify(keys, null, 2)}\n`, secret);
  }
  return { key, keysFile };
}
