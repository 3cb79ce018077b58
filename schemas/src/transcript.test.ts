import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Reply, type ReplyMode, Transcript, type Unit } from './index.ts';

/** One owner's life: how many units it says, in messages of which sizes, and what it still says after it was replaced. */
const life = fc.record({
  sizes: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 6 }),
  afterwards: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }),
  /** A replaced owner may sample differently from its successor. */
  diverges: fc.boolean(),
});

const truth = (index: number): number => index * 7;

const tokens = (f: number, i: number, n: number, offset = 0): Reply => {
  const ids = Array.from({ length: n }, (_, k) => truth(i + k) + offset);
  return { v: 1, k: 'tokens', f, i, ids, t: ids.map((id) => `<${id}>`) };
};

const open = (f: number, i: number, attempt: number, mode: ReplyMode = 'tokens'): Reply => ({
  v: 1,
  k: 'open',
  f,
  i,
  mode,
  attempt,
  cluster: 'c',
  model: 'm',
  modelHash: 'h',
  queueMs: 0,
  backendMs: 0,
});

/** What the stream holds after these lives: each owner takes over where the one before it was cut off. */
function history(lives: readonly { sizes: number[]; afterwards: number[]; diverges: boolean }[]) {
  const log: Reply[] = [];
  let said = 0;
  lives.forEach((owner, index) => {
    const f = 10 * (index + 1);
    if (index > 0) log.push({ v: 1, k: 'claim', f });
    log.push(open(f, said, index + 1));
    for (const size of owner.sizes) {
      log.push(tokens(f, said, size));
      said += size;
    }
  });
  // Stale words: each may stand anywhere after the successor's claim.
  lives.slice(0, -1).forEach((owner, index) => {
    const f = 10 * (index + 1);
    const claimAt = log.findIndex((message) => message.k === 'claim' && message.f === f + 10);
    const claimed = log[claimAt + 1];
    let i = claimed?.k === 'open' ? claimed.i : 0;
    owner.afterwards.forEach((size, step) => {
      const at = Math.min(log.length, claimAt + 1 + step * 2);
      log.splice(at, 0, tokens(f, i, size, owner.diverges ? 1 : 0));
      i += size;
    });
  });
  log.push({
    v: 1,
    k: 'end',
    f: 10 * lives.length,
    outcome: { status: 'done', finish: 'stop', units: said },
  });
  return { log, said };
}

const lives = fc.array(life, { minLength: 1, maxLength: 5 });
const isTruePrefix = (units: readonly Unit[]) =>
  units.every(
    (unit, index) => unit.k === 'token' && unit.id === truth(index) && unit.t === `<${truth(index)}>`,
  );

test('the stream gives every unit exactly once, whoever said it and whatever replaced owners still say', () => {
  fc.assert(
    fc.property(lives, (owners) => {
      const { log, said } = history(owners);
      const transcript = new Transcript();
      for (const message of log) assert.notEqual(transcript.accept(message), 'conflict');
      assert.equal(transcript.units.length, said);
      assert.ok(isTruePrefix(transcript.units));
      assert.ok(transcript.complete);
    }),
  );
});

test('a reader that misses and repeats messages holds a prefix of the truth, and never ends with less', () => {
  fc.assert(
    fc.property(lives, fc.infiniteStream(fc.integer({ min: 0, max: 3 })), (owners, copies) => {
      const { log, said } = history(owners.map((owner) => ({ ...owner, diverges: false })));
      const transcript = new Transcript();
      for (const message of log) {
        for (let copy = copies.next().value ?? 1; copy > 0; copy--) {
          const answer = transcript.accept(message);
          // A stale owner whose successor's claim was missed may have said more than the successor did.
          if (answer === 'conflict') assert.ok(message.k === 'end' && transcript.units.length > said);
        }
        assert.ok(isTruePrefix(transcript.units));
      }
      if (transcript.outcome !== undefined) assert.equal(transcript.units.length, said);
    }),
    { numRuns: 500 },
  );
});

test('another token at a known place is a conflict, not an overwrite', () => {
  const transcript = new Transcript();
  transcript.accept(open(1, 0, 1));
  transcript.accept(tokens(1, 0, 4));
  transcript.accept(open(2, 2, 2));
  assert.equal(transcript.accept(tokens(2, 2, 3, 1)), 'conflict');
  assert.ok(isTruePrefix(transcript.units));
});

test('a second attempt at a body replaces what the first one left', () => {
  const transcript = new Transcript();
  transcript.accept(open(1, 0, 1, 'body'));
  transcript.accept({ v: 1, k: 'body', f: 1, i: 0, t: '{"half' });
  transcript.accept({ v: 1, k: 'claim', f: 2 });
  transcript.accept(open(2, 0, 2, 'body'));
  transcript.accept({ v: 1, k: 'body', f: 2, i: 0, t: '{"whole":1}' });
  transcript.accept({ v: 1, k: 'end', f: 2, outcome: { status: 'done', finish: 'stop', units: 1 } });
  assert.deepEqual(transcript.units, [{ k: 'body', t: '{"whole":1}' }]);
  assert.ok(transcript.complete);
});

test('an end whose units are not all here is a gap', () => {
  const transcript = new Transcript();
  transcript.accept(open(1, 0, 1));
  transcript.accept(tokens(1, 0, 2));
  const end: Reply = { v: 1, k: 'end', f: 1, outcome: { status: 'done', finish: 'stop', units: 3 } };
  assert.equal(transcript.accept(end), 'gap');
  transcript.accept(tokens(1, 2, 1));
  assert.equal(transcript.accept(end), 'applied');
  assert.ok(transcript.complete);
});

test('an end is believed only of the owner whose beginning is here', () => {
  const transcript = new Transcript();
  transcript.accept(open(1, 0, 1));
  transcript.accept(tokens(1, 0, 3));
  transcript.accept({ v: 1, k: 'claim', f: 2 });
  const end: Reply = { v: 1, k: 'end', f: 2, outcome: { status: 'done', finish: 'stop', units: 3 } };
  assert.equal(transcript.accept(end), 'gap', 'it may count three others');
  transcript.accept(open(2, 3, 2));
  assert.equal(transcript.accept(end), 'applied');
  assert.ok(transcript.complete);
});

test('deltas that are begun again by another owner are a conflict, not a continuation', () => {
  const transcript = new Transcript();
  transcript.accept(open(1, 0, 1, 'deltas'));
  assert.equal(transcript.accept({ v: 1, k: 'deltas', f: 1, i: 0, d: [[{ a: 1 }]] }), 'applied');
  assert.equal(transcript.accept(open(1, 0, 1, 'deltas')), 'applied');
  transcript.accept({ v: 1, k: 'claim', f: 2 });
  assert.equal(transcript.accept(open(2, 0, 2, 'deltas')), 'conflict');
});

test('a rebuilt reply extends what was heard only if it says the same', () => {
  const said = (fence: number, size: number, shift = 0) => {
    const transcript = new Transcript();
    transcript.accept(open(fence, 0, 1));
    transcript.accept(tokens(fence, 0, size, shift));
    return transcript;
  };
  assert.ok(said(1, 5).extends(said(1, 3)));
  assert.ok(said(2, 3).extends(said(1, 3)));
  assert.ok(!said(1, 3).extends(said(1, 5)));
  assert.ok(!said(1, 5).extends(said(1, 3, 1)));
});
