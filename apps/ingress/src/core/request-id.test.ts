import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requestId } from '@drover/schemas';
import { answerIdOf, endpointOf, freshRequestId, keyedRequestId } from './request-id.ts';

test('an id tells its endpoint, and the ids of other producers are chat', () => {
  for (const endpoint of ['chat', 'completion', 'embedding'] as const) {
    assert.equal(endpointOf(freshRequestId(endpoint, 'x')), endpoint);
    assert.equal(endpointOf(keyedRequestId(endpoint, 't', 'k')), endpoint);
  }
  assert.equal(endpointOf('job-7'), 'chat');
  assert.equal(answerIdOf('chat', 'req_chat_x'), 'chatcmpl-x');
  assert.equal(answerIdOf('completion', 'job-7'), 'cmpl-job-7');
});

test('a tenant and a key cannot be cut differently into the same id', () => {
  assert.notEqual(keyedRequestId('chat', 'a', 'bc'), keyedRequestId('chat', 'ab', 'c'));
  assert.ok(requestId.safeParse(keyedRequestId('completion', 't'.repeat(64), 'k'.repeat(255))).success);
});
