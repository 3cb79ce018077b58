import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DroverError, failureCodes, failures } from '@drover/schemas';
import { envelope, errorHeaders, outcomeError, statusOf, streamedEnvelope, toDroverError } from './errors.ts';

test('every failure code has its status, and an envelope in the shape of OpenAI', () => {
  for (const code of failureCodes) {
    const error = new DroverError(code, 'why', { param: 'model' });
    assert.equal(statusOf(error), failures[code].http);
    assert.deepEqual(envelope(error), {
      error: { message: 'why', type: failures[code].type, param: 'model', code },
    });
  }
});

test('only a 401 says how to authenticate, and a known delay says when to come back', () => {
  assert.ok('www-authenticate' in errorHeaders(new DroverError('invalid_signature', '')));
  assert.deepEqual(errorHeaders(new DroverError('not_found', '')), {});
  assert.deepEqual(errorHeaders(new DroverError('queue_full', '', { retryAfterSeconds: 1.2 })), {
    'retry-after': '2',
  });
});

test('an outcome that says when to come back says so in the header, and in a stream in the event, never as zero', () => {
  const refused = { status: 'failed', code: 'queue_full', message: 'full', units: 0 } as const;
  const error = outcomeError({ ...refused, retryAfterMs: 2_300 });
  assert.deepEqual(errorHeaders(error), { 'retry-after': '3' });
  assert.equal(
    'retry_after' in streamedEnvelope(error).error && streamedEnvelope(error).error.retry_after,
    3,
  );
  assert.deepEqual(errorHeaders(outcomeError({ ...refused, retryAfterMs: 0 })), { 'retry-after': '1' });
  assert.deepEqual(errorHeaders(outcomeError(refused)), {});
  assert.equal('retry_after' in streamedEnvelope(outcomeError(refused)).error, false);
});

test('an unexpected error tells the client nothing', () => {
  const error = toDroverError(new Error('secret of the house'));
  assert.equal(error.code, 'internal_error');
  assert.doesNotMatch(JSON.stringify(envelope(error)), /secret/);
});

test('an outcome without an answer keeps its code', () => {
  const failed = { status: 'failed', code: 'deadline_exceeded', message: 'late', units: 0 } as const;
  assert.equal(outcomeError(failed).code, 'deadline_exceeded');
  assert.equal(outcomeError({ status: 'cancelled', units: 2 }).code, 'cancelled');
});
