import assert from 'node:assert/strict';
import test from 'node:test';
import { providerRefusalOf, retryAfterOf } from './refusal.ts';

const nowMs = Date.UTC(2026, 0, 1);
const of = (status: number, headers: Record<string, string> = {}, code?: string) =>
  providerRefusalOf({ status, headers, error: { message: 'no', code: code ?? null } }, nowMs);

test('a limit is waited out for as long as the provider says, in all three ways of saying it', () => {
  assert.equal(retryAfterOf({ 'retry-after': '3' }, nowMs), 3_000);
  assert.equal(retryAfterOf({ 'retry-after': 'Thu, 01 Jan 2026 00:00:09 GMT' }, nowMs), 9_000);
  assert.equal(retryAfterOf({ 'retry-after-ms': '250', 'retry-after': '3' }, nowMs), 250);
  assert.equal(retryAfterOf({ 'retry-after': 'soon' }, nowMs), undefined);
  assert.equal(retryAfterOf({ 'retry-after': '999999' }, nowMs), 3_600_000);
});

test('what each status means for the request', () => {
  const kinds = Object.fromEntries(
    [301, 400, 401, 402, 403, 404, 422, 429, 500, 503, 529].map((status) => [status, of(status).kind]),
  );
  assert.deepEqual(kinds, {
    301: 'failed',
    400: 'refused',
    401: 'down',
    402: 'limited',
    403: 'failed',
    404: 'failed',
    422: 'refused',
    429: 'limited',
    500: 'failed',
    503: 'failed',
    529: 'limited',
  });
  assert.equal(of(503, { 'retry-after': '1' }).kind, 'limited');
});

test('an account without money is left alone for minutes, whatever it says', () => {
  const refusal = of(429, { 'retry-after': '1' }, 'insufficient_quota');
  assert.equal(refusal.kind === 'limited' && refusal.retryAfterMs, 300_000);
});

test("a prompt that is too long is the client's affair", () => {
  const refusal = of(400, {}, 'context_length_exceeded');
  assert.equal(refusal.kind === 'refused' && refusal.code, 'context_length_exceeded');
});
