import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import { signatureWindowMs, type TenantId, tenantId } from '@drover/schemas';
import { z } from 'zod';

/** Shared secrets of clients that sign instead of sending a key. */
export const hmacKeysFile = z.strictObject({
  v: z.literal(1),
  keys: z.array(z.strictObject({ id: z.string().min(1), tenant: tenantId, secret: z.string().min(16) })),
});

export type HmacKeys = ReadonlyMap<string, { readonly tenant: TenantId; readonly secret: string }>;

export const hmacKeys = (file: z.infer<typeof hmacKeysFile>): HmacKeys =>
  new Map(file.keys.map(({ id, tenant, secret }) => [id, { tenant, secret }]));

/** How far a signature's time may be from ours, in s, either way. */
export const signatureWindowSeconds = signatureWindowMs / 1_000;

export type Claim = {
  readonly key: string;
  /** Seconds since 1970. */
  readonly ts: number;
  readonly nonce: string;
  readonly signature: Buffer;
};

const scheme = /^droverhmac +(.*)$/i;
const field = /^ *(key|ts|nonce|signature)=([A-Za-z0-9._~+/=-]{1,128}) *$/;

export const isSigned = (header: string | undefined): header is string =>
  header !== undefined && scheme.test(header);

/**
 * Reads `DroverHMAC key=<id>, ts=<unix seconds>, nonce=<8 to 128 characters>, signature=<hex>`; undefined when it is
 * anything else, or a field is missing or given twice.
 */
export function parseClaim(header: string): Claim | undefined {
  const fields = new Map<string, string>();
  for (const part of (scheme.exec(header)?.[1] ?? '').split(',')) {
    const [, name, value] = field.exec(part) ?? [];
    if (name === undefined || value === undefined || fields.has(name)) return undefined;
    fields.set(name, value);
  }
  const [key, ts, nonce, signature] = ['key', 'ts', 'nonce', 'signature'].map((name) => fields.get(name));
  if (key === undefined || ts === undefined || nonce === undefined || signature === undefined)
    return undefined;
  if (!/^\d{1,12}$/.test(ts) || nonce.length < 8 || !/^[0-9a-f]{64}$/.test(signature)) return undefined;
  return { key, ts: Number(ts), nonce, signature: Buffer.from(signature, 'hex') };
}

export const isFresh = (claim: Claim, nowMs: number): boolean =>
  Math.abs(nowMs / 1_000 - claim.ts) <= signatureWindowSeconds;

export type SignedRequest = {
  readonly method: string;
  /** As sent, with its query. */
  readonly path: string;
  readonly body: Uint8Array;
};

/** HMAC-SHA256 over time, nonce, method, path and the SHA-256 of the body, one per line. */
export const sign = (secret: string, ts: number, nonce: string, request: SignedRequest): Buffer =>
  createHmac('sha256', secret)
    .update(`${ts}\n${nonce}\n${request.method}\n${request.path}\n${hash('sha256', request.body, 'hex')}`)
    .digest();

/** Takes the same time whether the signature is nearly right or quite wrong. */
export const isSignedBy = (secret: string, claim: Claim, request: SignedRequest): boolean =>
  timingSafeEqual(sign(secret, claim.ts, claim.nonce, request), claim.signature);
