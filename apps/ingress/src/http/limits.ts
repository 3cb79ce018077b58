import { DroverError, requestId } from '@drover/schemas';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Admission } from '../core/admit.ts';
import type { ApiKey } from '../core/api-keys.ts';
import { rateLimitHeaders, tokensGuess } from '../core/rate-limit.ts';
import { hasBudget } from '../nats/budgets.ts';
import type { Ingress } from './ingress.ts';
import { rawBody } from './raw-body.ts';

/** How long after its deadline a reservation stands of which nothing was heard. */
export const lapseGraceMs = 10 * 60_000;

/** Puts the standing of a limited key on the answer; what is taken later is told anew. */
export function tellLimits({ limiter }: Ingress, { apiKey }: FastifyRequest, reply: FastifyReply): void {
  if (apiKey === null || !isLimited(apiKey)) return;
  reply.headers(rateLimitHeaders(limiter.standings(apiKey.id, apiKey, performance.now())));
}

const isLimited = ({ requestsPerMinute, tokensPerMinute }: ApiKey): boolean =>
  requestsPerMinute !== undefined || tokensPerMinute !== undefined;

/**
 * Takes a request and its likely tokens from the limits of its key. Returns what corrects the tokens when the request is
 * over; undefined leaves the guess as it is.
 * @throws DroverError `rate_limited`
 */
export function takeRate(
  ingress: Ingress,
  { request: { body } }: Admission,
  request: FastifyRequest,
  reply: FastifyReply,
): (tokens: number | undefined) => void {
  const { apiKey } = request;
  const { limiter } = ingress;
  if (apiKey === null || !isLimited(apiKey)) return () => {};
  const guess = tokensGuess(body, rawBody(request).length);
  const taken = limiter.take(apiKey.id, apiKey, guess, performance.now());
  tellLimits(ingress, request, reply);
  if (taken.kind === 'refused') {
    const limit = taken.of === 'requests' ? apiKey.requestsPerMinute : apiKey.tokensPerMinute;
    throw new DroverError('rate_limited', `This API key has a limit of ${limit} ${taken.of} per minute.`, {
      retryAfterSeconds: taken.retryAfterMs / 1_000,
    });
  }
  return (tokens) => {
    if (tokens !== undefined) limiter.correct(apiKey.id, apiKey, tokens - guess, performance.now());
  };
}

/**
 * Reserves what the request can cost at most, when its key has a budget. Returns what gives it back when the request was
 * not accepted.
 * @throws DroverError `budget_exceeded` or `unavailable`
 */
export async function reserveBudget(
  { budgets }: Ingress,
  { request: { id, deadlineAtMs }, reserveUsd, keyed }: Admission,
  apiKey: ApiKey | null,
): Promise<(error: unknown) => void> {
  if (apiKey === null || reserveUsd === undefined || !hasBudget(apiKey)) return () => {};
  const claim = { id: requestId.parse(id), usd: reserveUsd, expiresAtMs: deadlineAtMs + lapseGraceMs };
  await budgets.reserve(apiKey, claim);
  return (error) => {
    // A request that may have been stored after all stays reserved, and so does one that may be somebody else's, too.
    const isCertain = error instanceof DroverError && error.code !== 'unavailable';
    if (isCertain && !keyed) void budgets.release(apiKey, claim.id);
  };
}
