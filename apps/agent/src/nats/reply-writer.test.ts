import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Reply, reply, Transcript, type Unit } from '@drover/schemas';
import { liveFlush, quietFlush } from '../core/flush.ts';
import { ReplyWriter } from './reply-writer.ts';

const opening = {
  mode: 'tokens',
  attempt: 1,
  cluster: 'c',
  model: 'm',
  modelHash: 'h',
  queueMs: 0,
  backendMs: 0,
} as const;
const unit = (id: number): Unit => ({ k: 'token', id, t: ` ${id}` });

function writerAt(policy = liveFlush(5)) {
  const said: Reply[] = [];
  const clock = { nowMs: 0 };
  const writer = new ReplyWriter({
    publish: (data) => void said.push(reply.parse(JSON.parse(data))),
    policy,
    nowMs: () => clock.nowMs,
  });
  return { writer, said, clock, kinds: () => said.map(({ k }) => k) };
}

test('nothing is said before the claim stands, and then everything at once', () => {
  const { writer, said, kinds } = writerAt();
  writer.open(opening);
  writer.push([unit(0)]);
  writer.push([unit(1), unit(2)]);
  assert.deepEqual(said, []);
  writer.own(7, false);
  assert.deepEqual(kinds(), ['open', 'tokens']);
  assert.ok(said.every(({ f }) => f === 7));
});

test('an owner that was superseded says nothing more, whatever is waiting', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { writer, said } = writerAt();
  writer.own(7, false);
  writer.open(opening);
  writer.push([unit(0)]);
  const before = said.length;
  writer.push([unit(1)]);
  writer.mute();
  context.mock.timers.tick(100);
  writer.push([unit(2)]);
  writer.flush();
  writer.repeat();
  writer.end({ status: 'cancelled', units: 3 });
  assert.equal(said.length, before);
});

test('units wait for company, but not longer than the interval', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { writer, kinds, clock } = writerAt();
  writer.own(1, false);
  writer.open(opening);
  writer.push([unit(0)]);
  writer.push([unit(1)]);
  writer.push([unit(2)]);
  assert.deepEqual(kinds(), ['open', 'tokens']);
  clock.nowMs = 5;
  context.mock.timers.tick(5);
  assert.deepEqual(kinds(), ['open', 'tokens', 'tokens']);
});

test('a reply that nobody watches is still said before its end', () => {
  const { writer, kinds } = writerAt(quietFlush);
  writer.own(1, false);
  writer.open(opening);
  writer.push([unit(0)]);
  assert.deepEqual(kinds(), []);
  writer.end({ status: 'done', finish: 'stop', units: 1 });
  assert.deepEqual(kinds(), ['open', 'tokens', 'end']);
});

test('whoever hears only what was repeated has the whole reply, earlier owners included', () => {
  const { writer, said } = writerAt();
  writer.continueFrom([unit(0), unit(1)]);
  writer.own(9, true);
  writer.open(opening);
  writer.push([unit(2)]);
  const first = said.length;
  writer.repeat();
  const late = new Transcript();
  const early = new Transcript();
  for (const message of said.slice(first)) late.accept(message);
  assert.deepEqual(late.units, [unit(0), unit(1), unit(2)]);
  early.accept({ v: 1, k: 'open', f: 3, i: 0, ...opening });
  early.accept({ v: 1, k: 'tokens', f: 3, i: 0, ids: [0, 1], t: [' 0', ' 1'] });
  for (const message of said) assert.equal(early.accept(message), 'applied');
  assert.deepEqual(early.units, late.units);
});

test('after a loss, the end comes with the whole reply', () => {
  const { writer, said } = writerAt();
  writer.own(1, false);
  writer.open(opening);
  writer.push([unit(0)]);
  writer.repeat();
  writer.push([unit(1)]);
  const before = said.length;
  writer.end({ status: 'done', finish: 'stop', units: 2 });
  const transcript = new Transcript();
  for (const message of said.slice(before).filter((message) => message.k !== 'tokens' || message.i === 0))
    transcript.accept(message);
  assert.equal(transcript.complete, true);
});
