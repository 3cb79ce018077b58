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

test('several limiters that have told each other everything stand as one that has seen every request', () => {
  const anySteps = fc.array(
    fc.tuple(fc.nat(2), fc.nat(20_000), fc.nat(300), fc.integer({ min: -300, max: 300 })),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(anySteps, (steps) => {
      const [one, ...several] = Array.from({ length: 4 }, () => new RateLimiter());
      assert.ok(one);
      let nowMs = 0;
      for (const [at, waitMs, tokens, correction] of steps) {
        nowMs += waitMs;
        const here = several[at];
        assert.ok(here);
        assert.equal(here.take('k', limits, tokens, nowMs).kind, one.take('k', limits, tokens, nowMs).kind);
        here.correct('k', limits, correction, nowMs);
        one.correct('k', limits, correction, nowMs);
        const told = here.toTell();
        for (const other of several) if (other !== here && told) other.takenElsewhere(told, nowMs);
      }
      for (const each of several) {
        assert.equal(each.toTell(), undefined);
        for (const what of ['requests', 'tokens'] as const) {
          const [mine, whole] = [each, one].map((l) => l.standings('k', limits, nowMs)[what]?.resetMs ?? 0);
          assert.ok(Math.abs((mine ?? 0) - (whole ?? 0)) < 1e-3, `${mine} ${whole}`);
        }
      }
    }),
  );
});

test('what three ingresses let through before they heard of each other is missing to all of them afterwards', () => {
  const ingresses = Array.from({ length: 3 }, () => new RateLimiter());
  for (const each of ingresses)
    for (let count = 0; count < 6; count++) assert.equal(each.take('k', limits, 0, 0).kind, 'taken');
  const told = ingresses.map((each) => each.toTell());
  for (const [from, shares] of told.entries())
    for (const [to, each] of ingresses.entries()) if (shares && from !== to) each.takenElsewhere(shares, 0);
  // 18 of 6 per minute: the next one in two minutes and ten seconds.
  for (const each of ingresses) {
    const taken = each.take('k', limits, 0, 0);
    assert.ok(taken.kind === 'refused' && Math.abs(taken.retryAfterMs - 130_000) < 1, JSON.stringify(taken));
  }
});
