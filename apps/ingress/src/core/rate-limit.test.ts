import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RateLimiter, rateLimitHeaders, tokensGuess } from './rate-limit.ts';

const limits = { requestsPerMinute: 6, tokensPerMinute: 600 };

test('a minute’s worth may be taken at once, and comes back evenly', () => {
  const limiter = new RateLimiter();
  for (let count = 0; count < 6; count++) assert.equal(limiter.take('k', limits, 0, 0).kind, 'taken');
  assert.deepEqual(limiter.take('k', limits, 0, 0), {
    kind: 'refused',
    of: 'requests',
    retryAfterMs: 10_000,
  });
  assert.equal(limiter.take('k', limits, 0, 9_999).kind, 'refused');
  assert.equal(limiter.take('k', limits, 0, 10_000).kind, 'taken');
  assert.equal(limiter.take('another', limits, 0, 10_000).kind, 'taken');
});

test('in any minute no key takes more than twice its limit: what was full, and what came back', () => {
  const anyAsks = fc.array(fc.tuple(fc.integer({ min: 0, max: 20_000 }), fc.nat(400)), { maxLength: 100 });
  fc.assert(
    fc.property(anyAsks, (asks) => {
      const limiter = new RateLimiter();
      let nowMs = 0;
      const taken: [number, number][] = [];
      for (const [waitMs, tokens] of asks) {
        nowMs += waitMs;
        if (limiter.take('k', limits, tokens, nowMs).kind === 'taken') taken.push([nowMs, tokens]);
        const minute = taken.filter(([atMs]) => atMs > nowMs - 60_000);
        assert.ok(minute.length <= 12);
        assert.ok(minute.reduce((sum, [, of]) => sum + of, 0) <= 1_200 + 1e-6);
      }
    }),
  );
});

test('who waits as long as was said is let through', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(900), { minLength: 1, maxLength: 30 }), (asks) => {
      const limiter = new RateLimiter();
      let nowMs = 0;
      for (const tokens of asks) {
        const first = limiter.take('k', limits, tokens, nowMs);
        if (first.kind === 'taken') continue;
        nowMs += first.retryAfterMs + 1e-6;
        assert.equal(limiter.take('k', limits, tokens, nowMs).kind, 'taken');
      }
    }),
  );
});

test('a refused request takes nothing', () => {
  const limiter = new RateLimiter();
  limiter.take('k', limits, 600, 0);
  assert.equal(limiter.take('k', limits, 1, 0).kind, 'refused');
  assert.equal(limiter.standings('k', limits, 0).requests?.remaining, 5);
});

test('what was guessed too low is a debt, and what was guessed too high is given back', () => {
  const limiter = new RateLimiter();
  limiter.take('k', limits, 100, 0);
  limiter.correct('k', limits, 800, 0);
  assert.equal(limiter.standings('k', limits, 0).tokens?.remaining, 0);
  assert.deepEqual(limiter.take('k', limits, 100, 0), {
    kind: 'refused',
    of: 'tokens',
    retryAfterMs: 40_000,
  });
  limiter.correct('k', limits, -5_000, 0);
  assert.equal(limiter.standings('k', limits, 0).tokens?.remaining, 600);
});

test('the headers are OpenAI’s, and say nothing of what is not limited', () => {
  const limiter = new RateLimiter();
  const tokensOnly = { tokensPerMinute: 600 };
  limiter.take('k', tokensOnly, 595, 0);
  assert.deepEqual(rateLimitHeaders(limiter.standings('k', tokensOnly, 0)), {
    'x-ratelimit-limit-tokens': '600',
    'x-ratelimit-remaining-tokens': '5',
    'x-ratelimit-reset-tokens': '1m0s',
  });
  assert.equal(
    rateLimitHeaders(limiter.standings('k', tokensOnly, 59_000))['x-ratelimit-reset-tokens'],
    '500ms',
  );
});

test('a guess counts the prompt, the choices, and a limit where there is one', () => {
  assert.equal(tokensGuess({ max_tokens: 10, n: 2 }, 400), 120);
  assert.equal(tokensGuess({}, 400), 356);
  assert.equal(tokensGuess({ input: 'text' }, 400), 100);
});
