import { hash, timingSafeEqual } from 'node:crypto';
import { regions, regionsMax, tenantId } from '@drover/schemas';
import { z } from 'zod';
import { periods } from './period.ts';

const apiKey = z.strictObject({
  /** What people call the key; safe to log. The ledger and the budgets know it by this name. */
  id: z.string().min(1).max(64),
  tenant: tenantId,
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'use the SHA-256 of the key in hex'),
  /** What the key may cost per UTC day or month. Never exceeded: a request that could is refused. */
  budget: z.strictObject({ usd: z.number().positive(), period: z.enum(periods) }).exactOptional(),
  /** The dearest cluster that may answer, by nominal $/1K output tokens; a request may only ask for less. */
  maxUsdPer1k: z.number().positive().exactOptional(),
  /** Where the requests of the key may be answered; a request may only narrow it. */
  regions: regions.max(regionsMax).exactOptional(),
  requestsPerMinute: z.int().positive().exactOptional(),
  tokensPerMinute: z.int().positive().exactOptional(),
});

/** Keys are held as SHA-256: they are long and random, so nothing slower is needed to keep them secret at rest. */
export const apiKeysFile = z
  .strictObject({ v: z.literal(1), keys: z.array(apiKey) })
  .superRefine(({ keys }, context) => {
    const seen = new Set<string>();
    for (const [index, { id, budget, maxUsdPer1k }] of keys.entries()) {
      const refuse = (field: string, message: string) =>
        context.addIssue({ code: 'custom', message, path: ['keys', index, field] });
      if (seen.has(id)) refuse('id', `two keys are called ${id}`);
      seen.add(id);
      if (budget === undefined) continue;
      if (maxUsdPer1k === undefined)
        refuse('maxUsdPer1k', 'a budget needs it, to know what a request can cost');
      if (!/^[A-Za-z0-9_-]+$/.test(id)) refuse('id', 'a budget needs an id of letters, digits, _ and - only');
    }
  });

export type ApiKey = Omit<z.infer<typeof apiKey>, 'sha256'> & { readonly sha256: Buffer };
export type ApiKeys = readonly ApiKey[];

export const apiKeys = (file: z.infer<typeof apiKeysFile>): ApiKeys =>
  file.keys.map((key) => ({ ...key, sha256: Buffer.from(key.sha256, 'hex') }));

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
