import type { Nats } from '@drover/runtime';
import { DroverError, type TenantId } from '@drover/schemas';
import type { FastifyRequest } from 'fastify';
import { type ApiKey, type ApiKeys, bearerToken, findApiKey } from '../core/api-keys.ts';
import {
  type Claim,
  type HmacKeys,
  isFresh,
  isSigned,
  isSignedBy,
  parseClaim,
  signatureWindowSeconds,
} from '../core/hmac.ts';
import { useNonce } from '../nats/nonces.ts';
import { rawBody } from './raw-body.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; set for every route under /v1. */
    tenant: TenantId | null;
    /** The key that was shown; null where the client signed. */
    apiKey: ApiKey | null;
    /** A signature that can only be checked with the body. */
    claim: Claim | null;
  }
}

/** Tells the tenant of a request by its API key, or by its signature. */
export class Authenticator {
  readonly #apiKeys: () => ApiKeys;
  readonly #hmacKeys: () => HmacKeys;
  readonly #nats: Nats;

  constructor(nats: Nats, apiKeys: () => ApiKeys, hmacKeys: () => HmacKeys) {
    this.#nats = nats;
    this.#apiKeys = apiKeys;
    this.#hmacKeys = hmacKeys;
  }

  /** Before the body is read: nobody without a key makes us read one. @throws DroverError */
  checkHeader(request: FastifyRequest): void {
    const { authorization } = request.headers;
    if (isSigned(authorization)) {
      request.claim = this.#claim(authorization);
      return;
    }
    const token = bearerToken(authorization);
    const key = token === undefined ? undefined : findApiKey(this.#apiKeys(), token);
    if (key === undefined) {
      const problem = authorization === undefined ? 'No API key was given' : 'The API key is not valid';
      throw new DroverError('invalid_api_key', `${problem}; send it as \`Authorization: Bearer <key>\`.`);
    }
    request.tenant = key.tenant;
    request.apiKey = key;
  }

  /** With the body: a signature is checked, and its nonce used up. @throws DroverError */
  async checkSignature(request: FastifyRequest): Promise<void> {
    const { claim } = request;
    if (claim === null) return;
    const key = this.#hmacKeys().get(claim.key);
    const signed = { method: request.method, path: request.url, body: rawBody(request) };
    if (key === undefined || !isSignedBy(key.secret, claim, signed)) {
      throw badSignature('The signature does not fit this request.');
    }
    if (!(await useNonce(this.#nats, claim.key, claim.nonce)))
      throw badSignature('This nonce has been used.');
    request.tenant = key.tenant;
  }

  #claim(header: string): Claim {
    const claim = parseClaim(header);
    if (claim === undefined) {
      throw badSignature('Use `DroverHMAC key=…, ts=…, nonce=…, signature=…`.');
    }
    if (!this.#hmacKeys().has(claim.key)) throw badSignature('The signature does not fit this request.');
    if (!isFresh(claim, Date.now())) {
      throw badSignature(`The time of the signature is more than ${signatureWindowSeconds} s from ours.`);
    }
    return claim;
  }
}

/** The tenant of an authenticated request. */
export function tenantOf(request: FastifyRequest): TenantId {
  if (request.tenant === null) throw new Error(`route ${request.url} has no authentication`);
  return request.tenant;
}

const badSignature = (message: string) => new DroverError('invalid_signature', message);
