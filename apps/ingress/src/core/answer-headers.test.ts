import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpenReply } from '@drover/schemas';
import { answerHeaders, overheadMs } from './answer-headers.ts';

const open: OpenReply = {
  v: 1,
  f: 1,
  k: 'open',
  i: 0,
  mode: 'tokens',
  attempt: 2,
  cluster: 'aws-us-east-1',
  model: 'smol — é',
  modelHash: 'h',
  queueMs: 12.34,
  backendMs: 50,
  usdPer1k: 0.000123456789,
};

test('the overhead is what neither the queue nor the backend took, and never below zero', () => {
  assert.equal(overheadMs(open, 65.34).toFixed(2), '3.00');
  assert.equal(overheadMs(open, 10), 0);
});

test('answer headers are plain ASCII and leave out what is not known', () => {
  assert.deepEqual(answerHeaders(open), {
    'x-drover-cluster': 'aws-us-east-1',
    'x-drover-model': 'smol ? ?',
    'x-drover-attempts': '2',
    'x-drover-queue-ms': '12.3',
    'x-drover-usd-per-1k': '0.000123457',
  });
  assert.equal(answerHeaders(open, 1.25)['x-drover-overhead-ms'], '1.3');
});
