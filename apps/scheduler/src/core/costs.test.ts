import assert from 'node:assert/strict';
import test from 'node:test';
import { aTariff, aView } from '../../testing/builders.ts';
import { clusterUsdPer1k, nominalUsdPer1k } from './costs.ts';

const golden = [
  ['AWS t3.large', 0.0928, 15, '0.001719', '0.001890'],
  ['GCP n1-standard-2', 0.095, 12, '0.002199', '0.002419'],
  ['Azure Standard_D2s_v3', 0.0968, 14, '0.001921', '0.002113'],
] as const;

for (const [node, usdPerHour, tps, plain, withOverhead] of golden)
  test(`the nominal price of ${node} is the published one, with and without overhead`, () => {
    assert.equal(nominalUsdPer1k(usdPerHour, tps, 1).toFixed(6), plain);
    assert.equal(nominalUsdPer1k(usdPerHour, tps, 1.1).toFixed(6), withOverhead);
  });

test('the nominal price of a cluster is that of all slots busy', () => {
  assert.equal(clusterUsdPer1k(aView('aws'), aTariff(0.09)), nominalUsdPer1k(0.09, 25, 1));
});

test('two nodes together cost per token what one costs', () => {
  const one = clusterUsdPer1k(aView('aws'), aTariff());
  assert.equal(clusterUsdPer1k(aView('aws', { nodes: 2, slots: 8 }), aTariff()), one);
});

test('a provider that charges by token has the price that it says, whatever was measured', () => {
  const { rates: _, ...unmeasured } = aView('ext');
  const external = { ...aTariff(0), usdPerMillion: { prompt: 1, output: 3 } };
  assert.equal(clusterUsdPer1k(unmeasured, external), 0.003);
});

test('a cluster without a tariff or without a rate has no nominal price', () => {
  const { rates: _, ...unmeasured } = aView('aws');
  assert.equal(clusterUsdPer1k(aView('aws'), undefined), undefined);
  assert.equal(clusterUsdPer1k(unmeasured, aTariff()), undefined);
});
