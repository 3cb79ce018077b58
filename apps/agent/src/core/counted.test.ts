import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countedInChunks, countedInSlots, type Slot, uncounted } from './counted.ts';

const timings = (cache_n: number, prompt_n: number, predicted_n: number) => ({
  cache_n,
  prompt_n,
  prompt_ms: 1,
  predicted_n,
  predicted_ms: 1,
});

test('a stream that told of no tokens yet has no count', () => {
  assert.equal(countedInChunks(new Map(), 1), undefined);
});

test('the tokens of all choices of a stream are added, and their prompt counts once', () => {
  const latest = new Map([
    [0, timings(35, 1, 4)],
    [1, timings(35, 1, 6)],
  ]);
  const usage = { promptTokens: 36, completionTokens: 10, cachedTokens: 35 };
  assert.deepEqual(countedInChunks(latest, 2), { usage, isAll: true });
  latest.delete(1);
  assert.equal(countedInChunks(latest, 2)?.usage?.promptTokens, 36);
});

test('the prompts of a completion that has several are added', () => {
  const latest = new Map([
    [0, timings(0, 6, 2)],
    [1, timings(0, 2, 1)],
  ]);
  assert.equal(countedInChunks(latest, 1)?.usage?.promptTokens, 8);
});

const slot = (seed: number, n_decoded: number, is_processing = true): Slot => ({
  is_processing,
  n_prompt_tokens_processed: 13,
  n_prompt_tokens_cache: 29,
  params: { seed },
  next_token: [{ n_decoded }],
});
const ask = { seed: 100, choices: 2, prompts: 1 };

test('an answer is counted in the slots that have its seeds, and in no others', () => {
  const slots = [slot(100, 20), slot(101, 21), slot(99, 500), slot(102, 500), slot(100, 7, false)];
  assert.deepEqual(countedInSlots(slots, ask), {
    usage: { promptTokens: 42, completionTokens: 41, cachedTokens: 29 },
    isAll: true,
  });
});

test('a choice that has ended leaves its slot, and what is counted then is said to be not all', () => {
  assert.equal(countedInSlots([slot(101, 21)], ask)?.isAll, false);
});

test('what waits or still reads has said nothing, and what cannot be told apart is not counted', () => {
  assert.equal(countedInSlots([], ask), undefined);
  assert.equal(countedInSlots([slot(100, 0)], ask), undefined);
  assert.equal(countedInSlots([slot(100, 1), slot(101, 1), slot(100, 9)], ask), uncounted);
  assert.equal(countedInSlots([{ is_processing: true, params: { seed: 100 } }], ask), uncounted);
});
