import { hash, timingSafeEqual } from 'node:crypto';
import { type TenantId, tenantId } from '@drover/schemas';
import { z } from 'zod';

/** Keys are held as SHA-256: they are long and random, so nothing slower is needed to keep them secret at rest. */
export const apiKeysFile = z.strictObject({
  v: z.literal(1),
  keys: z.array(
    z.strictObject({
      /** What people call the key; safe to log. */
      id: z.string().min(1),
      tenant: tenantId,
      sha256: z.string().regex(/^[0-9a-f]{64}$/, 'use the SHA-256 of the key in hex'),
    }),
  ),
});

export type ApiKey = { readonly id: string; readonly tenant: TenantId; readonly sha256: Buffer };
export type ApiKeys = readonly ApiKey[];

export const apiKeys = (file: z.infer<typeof apiKeysFile>): ApiKeys =>
  file.keys.map(({ id, tenant, sha256 }) => ({ id, tenant, sha256: Buffer.from(sha256, 'hex') }));

/** The key that was presented, or undefined. Takes the same time for every key that is not known. */
export function findApiKey(keys: ApiKeys, presented: string): ApiKey | undefined {
  const digest = hash('sha256', presented, 'buffer');
  let found: ApiKey | undefined;
  for (const key of keys) if (timingSafeEqual(key.sha256, digest)) found = key;
  return found;
}

/**
 * The key of `Authorization: Bearer <key>`; undefined for any other header. OpenAI's clients send whatever key they were
 * given, inner spaces included, so they count as part of it: a key is only ever hashed and compared.
 */
export const bearerToken = (header: string | undefined): string | undefined =>
  header === undefined ? undefined : /^bearer +(\S(?:.*\S)?) *$/i.exec(header)?.[1];
