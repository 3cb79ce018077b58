import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maxReplySliceBytes, reply, Transcript, type Unit } from '@drover/schemas';
import fc from 'fast-check';
import { messagesOf } from './messages.ts';
import { slicesOf } from './slices.ts';

const open = (mode: 'tokens' | 'deltas' | 'body') =>
  ({
    v: 1,
    k: 'open',
    f: 1,
    i: 0,
    mode,
    attempt: 1,
    cluster: 'c',
    model: 'm',
    modelHash: 'h',
    queueMs: 0,
    backendMs: 0,
  }) as const;

const anyToken = fc
  .tuple(fc.nat(), fc.oneof(fc.constant(''), fc.string()))
  .map(([id, t]): Unit => ({ k: 'token', id, t }));
const anyDelta = fc.jsonValue().map((value): Unit => ({ k: 'delta', choices: [value] }));

test('units that were put into messages and read again are the same units', () => {
  const anyUnits = fc.oneof(
    fc.array(anyToken, { minLength: 1, maxLength: 1_500 }),
    fc.array(anyDelta, { minLength: 1 }),
  );
  fc.assert(
    fc.property(anyUnits, (units) => {
      const transcript = new Transcript();
      transcript.accept(open(units[0]?.k === 'delta' ? 'deltas' : 'tokens'));
      for (const message of messagesOf(units, 0, 1)) transcript.accept(reply.parse(message));
      assert.deepEqual(transcript.units, units);
    }),
    { numRuns: 40 },
  );
});

test('only the last message may end with a token whose text is still to come', () => {
  fc.assert(
    fc.property(fc.array(anyToken, { minLength: 600, maxLength: 2_000 }), (units) => {
      for (const message of messagesOf(units, 0, 1).slice(0, -1))
        assert.ok(message.k === 'tokens' && message.t.at(-1) !== '');
    }),
    { numRuns: 20 },
  );
});

test('no message is larger than a slice, and a body is put together again exactly', () => {
  const bodies = fc.oneof(
    fc.constant(JSON.stringify('"\\'.repeat(150_000))),
    fc.constant(JSON.stringify('🙂'.repeat(100_000))),
    fc.string(),
  );
  fc.assert(
    fc.property(bodies, (text) => {
      const slices = slicesOf(text);
      assert.equal(slices.join(''), text);
      for (const message of messagesOf(
        slices.map((t): Unit => ({ k: 'body', t })),
        0,
        1,
      ))
        assert.ok(Buffer.byteLength(JSON.stringify(message)) < maxReplySliceBytes + 200);
    }),
    { numRuns: 10 },
  );
});
