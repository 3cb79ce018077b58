import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConfigError, parseConfig } from '../src/config.ts';
import { environments } from '../src/spec.ts';
import { anyConfig } from './support/any-config.ts';
import { example, exampleText } from './support/examples.ts';

const staging = exampleText('staging');

/** The problems of the staging example with some keys changed; undefined takes a key away. */
function problemsOf(
  change: Readonly<Record<string, string | undefined>>,
  stack = 'staging',
): readonly string[] {
  const text = Object.fromEntries(
    Object.entries({ ...staging, ...change }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  );
  try {
    parseConfig(stack, text);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems;
  }
}

/** The clusters of the staging example with one of them changed. */
const clusters = (index: number, change: Readonly<Record<string, unknown>>): string => {
  const list: unknown = JSON.parse(staging['drover:clusters'] ?? '[]');
  assert.ok(Array.isArray(list));
  return JSON.stringify(list.map((one, at) => (at === index ? { ...one, ...change } : one)));
};

const problemsOfCluster = (index: number, change: Readonly<Record<string, unknown>>): readonly string[] =>
  problemsOf({ 'drover:clusters': clusters(index, change) });

for (const env of environments) {
  test(`the example of ${env} is accepted`, () => {
    assert.equal(example(env).env, env);
  });
}

test('all problems are told at once', () => {
  const problems = problemsOf(
    {
      'drover:owner': 'Not A Label',
      'drover:domain': undefined,
      'drover:budgetFrom': '2026-12-15',
      'drover:colour': 'blue',
      'drover:clusters': 'not json',
    },
    'production',
  );
  for (const part of ['stack', 'owner', 'domain', 'budgetFrom', 'colour', 'clusters'])
    assert.ok(
      problems.some((problem) => problem.includes(part)),
      `${part} is missing in ${problems.join('; ')}`,
    );
});

test('an unknown key is an error at every level', () => {
  assert.match(problemsOf({ 'drover:clustres': '[]' }).join(), /clustres/);
  assert.match(problemsOfCluster(0, { projectNumber: '123456789012' }).join(), /projectNumber/);
  assert.match(problemsOfCluster(0, { pools: { spot: { min: 1 } } }).join(), /min/);
  assert.match(problemsOfCluster(1, { api: { access: 'private', networks: [] } }).join(), /networks/);
});

test('a cloud needs its own keys and takes no other', () => {
  assert.notEqual(problemsOfCluster(0, { cloud: 'gcp' }).length, 0);
  assert.notEqual(problemsOfCluster(2, { subscriptionId: 'mine' }).length, 0);
});

test('the API is never opened wider than a /16', () => {
  const refused = [
    '0.0.0.0/0',
    '0.0.0.0/1',
    '203.0.0.0/15',
    '203.0.113.7/24',
    '::/0',
    'anywhere',
    '203.0.113.0',
  ];
  for (const network of refused) {
    const api = { access: 'authorised', networks: [network] };
    assert.notEqual(problemsOfCluster(0, { api }).length, 0, network);
  }
  assert.notEqual(problemsOfCluster(0, { api: { access: 'authorised', networks: [] } }).length, 0);
  assert.notEqual(problemsOfCluster(0, { api: { access: 'public' } }).length, 0);
});

test('there is exactly one hub', () => {
  assert.match(problemsOfCluster(0, { role: 'leaf' }).join(), /exactly one/);
  assert.match(problemsOfCluster(1, { role: 'hub' }).join(), /exactly one/);
});

test('the hub is never paused, and a leaf is never out of its reach', () => {
  assert.match(problemsOfCluster(0, { paused: true }).join(), /hub/);
  assert.deepEqual(problemsOfCluster(1, { paused: true }), []);
  assert.match(problemsOfCluster(1, { api: { access: 'private' } }).join(), /reach/);
});

test('clusters share neither a name nor a network', () => {
  assert.match(problemsOfCluster(1, { name: 'aws-us-east-1' }).join(), /name/);
  assert.match(problemsOfCluster(1, { cidr: '10.20.0.0/16' }).join(), /cidr/);
});

test('the network of a cluster is a private /16', () => {
  for (const cidr of ['8.8.0.0/16', '10.0.0.0/8', '10.1.2.0/24', '10.1.2.3/16'])
    assert.notEqual(problemsOfCluster(0, { cidr }).length, 0, cidr);
});

test('a secret is never part of the parsed configuration', () => {
  const parsed = parseConfig('staging', { ...staging, 'drover:repositoryToken': 'a token' });
  assert.doesNotMatch(JSON.stringify(parsed), /a token/);
});

test('keys of other namespaces are left alone', () => {
  assert.deepEqual(problemsOf({ 'pulumi:disable-default-providers': '["*"]' }), []);
});

test('nobody gets accelerated nodes, or a paused cluster, by saying nothing', () => {
  for (const { pools, paused, name } of example('staging').clusters) {
    assert.equal(pools.gpu, undefined, name);
    assert.equal(paused, false, name);
  }
});

test('a configuration that is accepted has one hub and no duplicate', () => {
  fc.assert(
    fc.property(anyConfig(fc.boolean()), ({ clusters: list }) => {
      assert.equal(list.filter(({ role }) => role === 'hub').length, 1);
      assert.equal(new Set(list.map(({ name }) => name)).size, list.length);
    }),
    { numRuns: 50 },
  );
});
