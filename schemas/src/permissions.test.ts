import assert from 'node:assert/strict';
import { test } from 'node:test';
import { natsUsersConfig, permissions } from './permissions.ts';

const limited = {
  producer: permissions.producer('t1'),
  ingress: permissions.ingress(),
  scheduler: permissions.scheduler(),
  agent: permissions.agent('aws'),
  operator: permissions.operator(),
  prices: permissions.prices(),
};

/** The keys that a role has to write; every other bucket is closed to it. */
const writes: Partial<Record<keyof typeof limited, string[]>> = {
  ingress: ['$KV.LLM_BUDGETS.*'],
  scheduler: ['$KV.LLM_LEASES.*', '$KV.LLM_PROFILES.*'],
  prices: ['$KV.LLM_PRICES.*'],
  operator: [
    '$KV.LLM_PRICES.*',
    '$KV.LLM_POLICY.active',
    '$KV.LLM_POLICY.experiment',
    '$KV.LLM_POLICY.cordon.*',
  ],
};

test('no role but admin may delete or purge a stream, or write a key that is not its own', () => {
  for (const role of Object.keys(limited) as (keyof typeof limited)[]) {
    const strong = limited[role].publish.filter((subject) =>
      /STREAM\.(DELETE|PURGE)|^\$KV|^>$|^\$JS\.API\.>$/.test(subject),
    );
    assert.deepEqual(strong, writes[role] ?? [], role);
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
