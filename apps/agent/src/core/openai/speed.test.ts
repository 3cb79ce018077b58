import assert from 'node:assert/strict';
import test from 'node:test';
import { answerTps, noSpeed, usualTtftMs, withAnswer, withFirstToken } from './speed.ts';

test('nothing is known before the first answer', () => {
  assert.equal(usualTtftMs(noSpeed), undefined);
  assert.equal(answerTps(noSpeed), undefined);
});

test('the usual first token is the median of the last hundred', () => {
  const some = [900, 100, 200].reduce(withFirstToken, noSpeed);
  assert.equal(usualTtftMs(some), 200);
  const many = Array.from({ length: 100 }, () => 7).reduce(withFirstToken, some);
  assert.equal(usualTtftMs(many), 7);
});

test('the speed of an answer follows the later ones, and a short answer tells nothing', () => {
  const slow = withAnswer(noSpeed, 100, 10_000);
  assert.equal(answerTps(slow), 10);
  assert.deepEqual(withAnswer(slow, 3, 1), slow);
  let speed = slow;
  for (let answer = 0; answer < 100; answer++) speed = withAnswer(speed, 100, 1_000);
  assert.ok((answerTps(speed) ?? 0) > 90);
});
