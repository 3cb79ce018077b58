import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { corrected, fullLimits, limitOf, paused, startable, taken } from './limits.ts';

const allowance = { requestsPerMinute: 60, tokensPerMinute: 6_000, burst: 0.5 };

test('a silence is worth as many requests as the burst says, and then one comes back each second', () => {
  let limits = fullLimits(allowance, 0);
  assert.equal(startable(limits, allowance, 0), 30);
  for (let request = 0; request < 30; request++) limits = taken(limits, allowance, 10, 0);
  assert.deepEqual(limitOf(limits, allowance, 0), { reason: 'requests-per-minute', resumesInMs: 1_000 });
  assert.equal(startable(limits, allowance, 999), 0);
  assert.equal(startable(limits, allowance, 1_000), 1);
  assert.equal(startable(limits, allowance, 600_000), 30);
});

test('a request is let in while a token is left, and what it took beyond that has to come back first', () => {
  const limits = taken(fullLimits(allowance, 0), allowance, 3_100, 0);
  assert.deepEqual(limitOf(limits, allowance, 0), { reason: 'tokens-per-minute', resumesInMs: 1_010 });
  assert.equal(startable(limits, allowance, 1_010), 30);
});

test('a guess that was too high gives tokens back, but never more than the bucket holds', () => {
  const limits = corrected(taken(fullLimits(allowance, 0), allowance, 3_100, 0), allowance, -9_999, 0);
  assert.equal(limits.tokens.left, 3_000);
});

test('when the provider says to wait nothing starts before that, and a shorter wait does not shorten it', () => {
  const limits = paused(paused(fullLimits(allowance, 0), 5_000, 0), 100, 0);
  assert.deepEqual(limitOf(limits, allowance, 1_000), { reason: 'told-to-wait', resumesInMs: 4_000 });
  assert.equal(limitOf(limits, allowance, 5_000), undefined);
});

test('without numbers nothing is limited, and with a tiny one a request still fits at some time', () => {
  const none = { burst: 1 };
  assert.equal(startable(fullLimits(none, 0), none, 0), Number.POSITIVE_INFINITY);
  const tiny = { requestsPerMinute: 0.5, burst: 0.1 };
  assert.equal(startable(fullLimits(tiny, 0), tiny, 0), 1);
});

test('however requests come, no span of time has more than its share and one burst', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 600 }),
      fc.double({ min: 0.05, max: 2, noNaN: true }),
      fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 200 }),
      (requestsPerMinute, burst, gaps) => {
        const one = { requestsPerMinute, burst };
        let limits = fullLimits(one, 0);
        let nowMs = 0;
        let started = 0;
        for (const gap of gaps) {
          nowMs += gap;
          if (startable(limits, one, nowMs) < 1) continue;
          limits = taken(limits, one, 0, nowMs);
          started++;
        }
        const most = Math.max(1, requestsPerMinute * burst) + (nowMs * requestsPerMinute) / 60_000;
        assert.ok(started <= most + 1e-6, `${started} of ${most}`);
      },
    ),
  );
});
