import assert from 'node:assert/strict';
import { test } from 'node:test';
import { natsUsersConfig, permissions } from './permissions.ts';

const limited = {
  producer: permissions.producer('t1'),
  ingress: permissions.ingress(),
  scheduler: permissions.scheduler(),
  agent: permissions.agent('aws'),
};

test('no role but admin may delete or purge a stream, or write a bucket', () => {
  for (const [role, { publish }] of Object.entries(limited)) {
    const strong = publish.filter((subject) =>
      /STREAM\.(DELETE|PURGE)|^\$KV|^>$|^\$JS\.API\.>$/.test(subject),
    );
    assert.deepEqual(strong, [], role);
  }
});

test('no two roles share an inbox, and none may subscribe to the default one', () => {
  const prefixes = [
    ...Object.values(limited),
    permissions.admin(),
    permissions.agent('gcp'),
    permissions.producer('t2'),
  ].map(({ inboxPrefix }) => inboxPrefix);
  assert.equal(new Set(prefixes).size, prefixes.length);
  for (const { subscribe } of Object.values(limited)) assert.ok(!subscribe.includes('_INBOX.>'));
});

test('every subject that a producer may use names its tenant', () => {
  const { publish, subscribe, inboxPrefix } = limited.producer;
  // Pulling and deleting a replay consumer name only the consumer; making one needs the tenant's filter.
  const nameless = /CONSUMER\.(MSG\.NEXT|DELETE)\.LLM_REPLIES\.\*$/;
  for (const subject of [...publish, ...subscribe]) {
    assert.ok(
      subject.split('.').includes('t1') || subject === `${inboxPrefix}.>` || nameless.test(subject),
      subject,
    );
  }
});

test('a cluster with the name of a reserved writer gets no permissions', () => {
  assert.throws(() => permissions.agent('scheduler'), /reserved/);
  assert.throws(() => permissions.agent('ingress'), /reserved/);
});

test('the configuration names every user once, with its subjects quoted', () => {
  const config = natsUsersConfig([
    { nkey: 'UA', grants: limited.agent },
    { nkey: 'UB', grants: limited.scheduler },
  ]);
  assert.equal(config.match(/nkey: /g)?.length, 2);
  assert.match(config, /"llm\.reply\.aws\.\*\.\*"/);
});
