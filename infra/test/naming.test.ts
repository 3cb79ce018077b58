import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fitName, kinds, labelsOf, namer } from '../src/naming.ts';
import { clouds } from '../src/spec.ts';

const name = fc.stringMatching(/^[a-z](?:[a-z0-9]|-[a-z0-9]){0,60}$/);
const limit = fc.record({
  max: fc.integer({ min: 12, max: 64 }),
  style: fc.constantFrom('dashed' as const, 'plain' as const),
});

test('a fitted name is never longer than its limit', () => {
  fc.assert(fc.property(name, limit, (full, fit) => fitName(full, fit).length <= fit.max));
});

test('a fitted name begins with a letter and ends with a letter or digit', () => {
  fc.assert(
    fc.property(name, limit, (full, fit) => /^[a-z](?:[a-z0-9-]*[a-z0-9])?$/.test(fitName(full, fit))),
  );
});

test('a plain name has no dash', () => {
  fc.assert(fc.property(name, (full) => /^[a-z0-9]+$/.test(fitName(full, { max: 50, style: 'plain' }))));
});

test('two names stay two, however short they become', () => {
  fc.assert(
    fc.property(name, name, limit, (one, other, fit) => {
      fc.pre(one !== other);
      return fitName(one, fit) !== fitName(other, fit);
    }),
  );
});

test('a name is project-env-component-type', () => {
  assert.equal(namer('aws', 'dev', 'aws-us-east-1')('vpc'), 'drover-dev-aws-us-east-1-vpc');
  assert.equal(namer('aws', 'prod', 'aws-us-east-1')('role', 'node'), 'drover-prod-aws-us-east-1-node-role');
});

test('a registry in Azure differs between two subscriptions', () => {
  const called = namer('azure', 'dev', 'azure-eastus');
  assert.notEqual(called('acr', undefined, 'one'), called('acr', undefined, 'two'));
});

test('every kind is of its own cloud', () => {
  for (const cloud of clouds) {
    for (const [kind, of] of Object.entries(kinds[cloud])) assert.equal(of.cloud, cloud, kind);
  }
});

test('a label that one cloud would refuse is refused', () => {
  const facts = { env: 'dev', cluster: 'c', cloud: 'aws', region: 'r', role: 'hub', owner: 'o' } as const;
  assert.equal(labelsOf(facts)['managed-by'], 'pulumi');
  for (const owner of ['Team', 'a b', 'x'.repeat(64), '', 'team-', 'ä'])
    assert.throws(() => labelsOf({ ...facts, owner }), /label/, owner);
});
