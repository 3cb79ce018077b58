import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wholeAnswer } from './whole.ts';

const ends = { first: { id: 'x', created: 1, model: 'm' }, last: { timings: { predicted_n: 3 } } };
const usage = { promptTokens: 5, completionTokens: 3 };

test('the pieces of each choice are joined, in the order of the choices', () => {
  const choices = [
    { index: 1, delta: { role: 'assistant', content: null }, finish_reason: null },
    { index: 1, delta: { content: 'b' }, finish_reason: null },
    { index: 0, delta: { role: 'assistant', content: 'a' }, finish_reason: null },
    { index: 1, delta: { content: 'c' }, finish_reason: 'length' },
    { index: 0, delta: { reasoning_content: 'why' }, finish_reason: 'stop' },
  ];
  assert.deepEqual(wholeAnswer({ endpoint: 'chat', choices, ...ends, usage }).choices, [
    {
      finish_reason: 'stop',
      index: 0,
      message: { role: 'assistant', content: 'a', reasoning_content: 'why' },
    },
    { finish_reason: 'length', index: 1, message: { role: 'assistant', content: 'bc' } },
  ]);
});

test('log probabilities are appended, and are null in a completion that has none', () => {
  const choices = [
    { text: 'a', logprobs: { content: [1] } },
    { text: 'b', logprobs: { content: [2, 3] }, finish_reason: 'stop' },
    { index: 1, text: 'c' },
  ];
  const { choices: whole, object } = wholeAnswer({ endpoint: 'completion', choices, ...ends, usage });
  assert.equal(object, 'text_completion');
  assert.deepEqual(whole, [
    { text: 'ab', index: 0, logprobs: { content: [1, 2, 3] }, finish_reason: 'stop' },
    { text: 'c', index: 1, logprobs: null, finish_reason: null },
  ]);
});
