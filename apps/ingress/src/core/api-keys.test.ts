import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { apiKeys, apiKeysFile, bearerToken, findApiKey } from './api-keys.ts';

const sha256 = (key: string) => createHash('sha256').update(key).digest('hex');
const file = {
  v: 1,
  keys: [
    { id: 'k1', tenant: 't1', sha256: sha256('one') },
    { id: 'k2', tenant: 't2', sha256: sha256('two') },
  ],
};

test('a key is found by its hash, and only the right one', () => {
  const keys = apiKeys(apiKeysFile.parse(file));
  assert.equal(findApiKey(keys, 'one')?.tenant, 't1');
  assert.equal(findApiKey(keys, 'two')?.id, 'k2');
  assert.equal(findApiKey(keys, 'three'), undefined);
  assert.equal(findApiKey(keys, sha256('one')), undefined);
});

test('a file with an unknown field or a key in clear is refused', () => {
  for (const bad of [
    { ...file, admins: [] },
    { v: 1, keys: [{ id: 'k', tenant: 't', sha256: 'one' }] },
    { v: 1, keys: [{ id: 'k', tenant: 'a.b', sha256: sha256('one') }] },
  ]) {
    assert.ok(!apiKeysFile.safeParse(bad).success);
  }
});

test('a key with a budget has a ceiling and an id that can be the name of a record; no two keys have one id', () => {
  const key = { id: 'k1', tenant: 't1', sha256: sha256('one') };
  const budget = { usd: 5, period: 'month' };
  const isGood = (...keys: object[]) => apiKeysFile.safeParse({ v: 1, keys }).success;
  assert.ok(isGood({ ...key, budget, maxUsdPer1k: 0.01, requestsPerMinute: 5, tokensPerMinute: 100 }));
  assert.ok(!isGood({ ...key, budget }));
  assert.ok(!isGood({ ...key, id: 'Jane Doe', budget, maxUsdPer1k: 0.01 }));
  assert.ok(isGood({ ...key, id: 'Jane Doe' }));
  assert.ok(!isGood({ ...key, budget: { usd: 5, period: 'week' }, maxUsdPer1k: 0.01 }));
  assert.ok(!isGood(key, { ...key, sha256: sha256('two') }));
});

test('the regions of a key are some, each a name or a beginning of names', () => {
  const isGood = (regions: unknown) =>
    apiKeysFile.safeParse({ v: 1, keys: [{ id: 'k1', tenant: 't1', sha256: sha256('one'), regions }] })
      .success;
  assert.ok(isGood(['eu-', 'westeurope']));
  for (const bad of [[], ['eu*'], [''], 'eu-', Array(17).fill('eu-')]) assert.ok(!isGood(bad));
});

test('only a bearer token is a key', () => {
  assert.equal(bearerToken('Bearer abc'), 'abc');
  assert.equal(bearerToken('bearer  abc '), 'abc');
  assert.equal(bearerToken('Bearer My API Key'), 'My API Key');
  for (const other of [undefined, '', 'Bearer', 'Bearer  ', 'Basic abc']) {
    assert.equal(bearerToken(other), undefined);
  }
});
