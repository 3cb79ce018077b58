import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '@drover/runtime';
import { startFakeMetadata } from '../../../../test/support/fake-metadata.ts';
import { clouds, type SpotNotice } from '../core/spot/notice.ts';
import { spotSource } from './source.ts';
import { SpotWatch } from './watch.ts';

const log = createLogger('test', 'silent');

async function until(what: string, condition: () => boolean, withinMs = 3_000): Promise<void> {
  const giveUpMs = performance.now() + withinMs;
  while (!condition()) {
    assert.ok(performance.now() < giveUpMs, `${what}: not within ${withinMs} ms`);
    await sleep(5);
  }
}

function watch(...[cloud, url]: Parameters<typeof spotSource>) {
  const heard = { notices: [] as SpotNotice[], withdrawn: 0, answers: [] as string[] };
  const listener = {
    onNotice: (notice: SpotNotice) => void heard.notices.push(notice),
    onWithdrawn: () => void heard.withdrawn++,
    onAnswer: (kind: string) => void heard.answers.push(kind),
  };
  const started = new SpotWatch(spotSource(cloud, url), 10, listener, log);
  return { heard, [Symbol.dispose]: () => started.stop() };
}

for (const cloud of clouds) {
  test(`${cloud}: a notice is heard once, trouble is none, and a notice may be withdrawn`, async () => {
    await using metadata = await startFakeMetadata();
    using watching = watch(cloud, metadata.url);
    const { heard } = watching;
    await until('an answer', () => heard.answers.includes('none'));
    assert.equal(heard.notices.length, 0);

    const atMs = Math.floor(Date.now() / 1_000) * 1_000 + 60_000;
    const noticedMs = performance.now();
    metadata.notify(atMs);
    await until('the notice', () => heard.notices.length > 0);
    console.log(`# ${cloud}: heard after ${(performance.now() - noticedMs).toFixed(0)} ms`);
    assert.equal(heard.notices[0]?.cloud, cloud);
    if (cloud !== 'gcp') assert.equal(heard.notices[0]?.atMs, atMs);

    metadata.withdraw();
    await until('the withdrawal', () => heard.withdrawn === 1);
    assert.equal(heard.notices.length, 1);
  });

  test(`${cloud}: a service in trouble is asked again, less and less often, and heard when it is back`, async () => {
    await using metadata = await startFakeMetadata();
    metadata.fail(503);
    using watching = watch(cloud, metadata.url);
    const { heard } = watching;
    await until('some failures', () => heard.answers.filter((kind) => kind === 'failed').length >= 3);
    assert.ok(metadata.asked.length < 12, `asked ${metadata.asked.length} times`);
    metadata.fail(undefined);
    metadata.notify(Date.now() + 60_000);
    await until('the notice', () => heard.notices.length === 1);
  });
}

test('aws: a token that is not accepted any more is fetched again', async () => {
  await using metadata = await startFakeMetadata();
  using watching = watch('aws', metadata.url);
  const { heard } = watching;
  await until('an answer', () => heard.answers.includes('none'));
  metadata.forgetTokens();
  metadata.notify(Date.now() + 60_000);
  await until('the notice', () => heard.notices.length === 1);
});

test('nothing is asked after the stop', async () => {
  await using metadata = await startFakeMetadata();
  const watching = watch('aws', metadata.url);
  await until('an answer', () => watching.heard.answers.length > 0);
  watching[Symbol.dispose]();
  await sleep(30);
  const asked = metadata.asked.length;
  await sleep(60);
  assert.equal(metadata.asked.length, asked);
});
