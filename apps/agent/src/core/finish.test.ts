import assert from 'node:assert/strict';
import { test } from 'node:test';
import { finishOf, sumUsage } from './finish.ts';
import { refusalOf } from './refusal.ts';

test('what earlier owners said counts as completion, not as prompt', () => {
  const last = { stop_type: 'eos', tokens_predicted: 7, tokens_evaluated: 30 };
  const timings = { cache_n: 25, prompt_n: 5, prompt_ms: 1, predicted_n: 7, predicted_ms: 1 };
  assert.deepEqual(finishOf({ ...last, timings }, 10), {
    finish: 'stop',
    usage: { promptTokens: 20, completionTokens: 17, cachedTokens: 20 },
    timings,
  });
  assert.equal(finishOf({ ...last, stop_type: 'limit' }, 0).finish, 'length');
  assert.equal(finishOf({ ...last, stop_type: 'word' }, 0).finish, 'stop');
});

test('two choices share one prompt', () => {
  const one = { prompt_tokens: 32, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 1 } };
  assert.deepEqual(sumUsage([one, one], 2), { promptTokens: 32, completionTokens: 6, cachedTokens: 1 });
  assert.equal(sumUsage([], 1), undefined);
});

test('only an answer that would come again is final', () => {
  const kindOf = (status: number, type?: string) => refusalOf(status, { message: 'm', type }).kind;
  assert.deepEqual(
    [400, 422, 501].map((status) => kindOf(status)),
    ['refused', 'refused', 'refused'],
  );
  assert.deepEqual(
    [500, 502, 408, 429].map((status) => kindOf(status)),
    ['failed', 'failed', 'failed', 'failed'],
  );
  assert.equal(kindOf(503, 'unavailable_error'), 'down');
  const tooLong = refusalOf(400, { message: 'too long', type: 'exceed_context_size_error' });
  assert.ok(tooLong.kind === 'refused' && tooLong.code === 'context_length_exceeded');
});
