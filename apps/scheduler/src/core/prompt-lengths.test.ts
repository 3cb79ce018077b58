import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { aRequest } from '../../testing/builders.ts';
import { PromptLengths } from './prompt-lengths.ts';

const chat = aRequest({ body: { model: 'm1', messages: [{ role: 'user', content: 'x' }] } });
const learned = (pairs: readonly (readonly [number, number])[]): PromptLengths => {
  const lengths = new PromptLengths();
  for (const [guess, measured] of pairs) lengths.learn('m1', 'chat', guess, measured);
  return lengths;
};

test('before anything was measured the guess stands, and says that it is one', () => {
  assert.deepEqual(new PromptLengths().estimate(chat, 'm1', 5), { tokens: 5, basis: 'assumed' });
  assert.deepEqual(learned([[5, 36]]).estimate(chat, 'm1', 5), { tokens: 5, basis: 'assumed' });
});

test('what the chat template adds is learned from three prompts that are alike, for this model only', () => {
  const lengths = learned([
    [5, 36],
    [5, 36],
    [6, 37],
  ]);
  assert.deepEqual(lengths.estimate(chat, 'm1', 5), { tokens: 36, basis: 'learned' });
  assert.deepEqual(lengths.estimate(chat, 'm1', 25), { tokens: 56, basis: 'learned' });
  assert.equal(lengths.estimate(chat, 'm2', 5).basis, 'assumed');
});

test('prompts on any straight line are estimated within a token, whatever their lengths', () => {
  const anyLine = fc.record({
    adds: fc.integer({ min: 0, max: 200 }),
    perGuess: fc.double({ min: 0.6, max: 3.5, noNaN: true }),
    guesses: fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 20, maxLength: 60 }),
    next: fc.integer({ min: 1, max: 2_000 }),
  });
  fc.assert(
    fc.property(anyLine, ({ adds, perGuess, guesses, next }) => {
      fc.pre(new Set(guesses).size > 10);
      const truth = (guess: number) => adds + perGuess * guess;
      const mean = guesses.reduce((sum, guess) => sum + guess, 0) / guesses.length;
      const spread = Math.sqrt(guesses.reduce((sum, g) => sum + (g - mean) ** 2, 0) / guesses.length);
      fc.pre(spread > 0.3 * mean);
      const lengths = learned(guesses.map((guess) => [guess, truth(guess)]));
      assert.ok(Math.abs(lengths.estimate(chat, 'm1', next).tokens - truth(next)) <= 1);
    }),
  );
});

test('no history makes an estimate that is no positive whole number', () => {
  const anyPair = fc.tuple(fc.nat(100_000), fc.nat(100_000));
  fc.assert(
    fc.property(fc.array(anyPair), fc.nat(100_000), (pairs, guess) => {
      const { tokens, basis } = learned(pairs).estimate(chat, 'm1', guess);
      assert.ok(Number.isInteger(tokens) && tokens >= (basis === 'learned' ? 1 : 0), String(tokens));
    }),
  );
});

test('a template that changes is followed', () => {
  const lengths = learned([
    ...Array.from({ length: 50 }, () => [10, 40] as const),
    ...Array.from({ length: 200 }, () => [10, 80] as const),
  ]);
  const { tokens } = lengths.estimate(chat, 'm1', 10);
  assert.ok(tokens >= 79 && tokens <= 80, String(tokens));
});

test('token ids are counted, not estimated, and images are learned nothing from', () => {
  const lengths = learned([
    [5, 36],
    [5, 36],
    [5, 36],
  ]);
  const ids = aRequest({ endpoint: 'completion', body: { model: 'm1', prompt: [1, 2, 3] } });
  assert.deepEqual(lengths.estimate(ids, 'm1', 3), { tokens: 3, basis: 'counted' });
});
