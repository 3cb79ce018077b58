import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeLlama } from './fake-llama.ts';
import { detokenize, readPrompt, replyText, replyToken, tokenize } from './fake-llama-text.ts';

const post = async (url: string, body: unknown) => fetch(url, { method: 'POST', body: JSON.stringify(body) });

test('what the fake says can be tokenised and put together again, emoji included', () => {
  const text = `hello ${replyText('hello ', 40, 7)}`;
  assert.equal(detokenize(tokenize(text)), text);
});

test('ids that were said and given back continue the same reply', () => {
  const prompt = readPrompt('p');
  const ids = [...tokenize('p'), ...[0, 1, 2].map((at) => replyToken(prompt, at, 0).id)];
  assert.deepEqual(readPrompt(ids), { ...prompt, said: 3 });
});

test('replies to different prompts differ', () => {
  assert.notEqual(replyText('one', 5), replyText('two', 5));
});

test('streamed and whole answers of every endpoint are the same text', async () => {
  await using fake = await startFakeLlama({ tokens: 6 });
  const messages = [{ role: 'user', content: 'x' }];
  const answer = await post(`${fake.url}/v1/chat/completions`, { messages });
  const whole = JSON.parse(await answer.text());
  const streamed = await (await post(`${fake.url}/v1/chat/completions`, { messages, stream: true })).text();
  const text = [...streamed.matchAll(/"content":"([^"]*)"/g)].map(([, part]) => part).join('');
  assert.equal(text, whole.choices[0].message.content);
  assert.ok(streamed.endsWith('data: [DONE]\n\n'));
});

test('a connection that the client closes counts as aborted and frees its slot', async () => {
  await using fake = await startFakeLlama({ tokenMs: 5 });
  const stop = new AbortController();
  const body = JSON.stringify({ prompt: 'x', n_predict: 1_000, stream: true });
  const response = await fetch(`${fake.url}/completion`, { method: 'POST', body, signal: stop.signal });
  await response.body?.getReader().read();
  assert.equal(fake.counters.busy, 1);
  stop.abort();
  const giveUpMs = performance.now() + 1_000;
  while (fake.counters.busy > 0 && performance.now() < giveUpMs)
    await new Promise((resolve) => setTimeout(resolve, 2));
  assert.deepEqual([fake.counters.busy, fake.counters.aborted], [0, 1]);
});
