import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { catalogue, parseValue, policy, tariff } from '@drover/schemas';
import { localClusters, localModel } from './clusters.ts';
import { curlLine, renderScreen } from './screen.ts';

const system = {
  url: 'http://127.0.0.1:8080',
  natsUrl: 'nats://127.0.0.1:4222',
  apiKey: 'drover-key',
  credential: () => undefined,
  llamaUrl: () => 'http://127.0.0.1:8181',
  metricsUrl: { ingress: 'i', scheduler: 's', agent: () => 'a' },
};

test('the screen names every cluster, says when one has no price, and fits 24 lines', () => {
  const screen = renderScreen({
    system,
    clusters: localClusters,
    prices: new Map([['aws-us-east-1', 0.0928]]),
    external: new Set(['azure-eastus']),
    stateDir: '/x/.drover',
    tookMs: 1_234,
  });
  assert.ok(screen.split('\n').length <= 24);
  for (const { id } of localClusters) assert.ok(screen.includes(id));
  assert.match(screen, /aws-us-east-1 +0\.0928 +4 +2/);
  assert.match(screen, /gcp-us-central1 +none/);
  assert.match(screen, /azure-eastus +none +\? +\?/);
  assert.ok(screen.includes(curlLine(system)));
});

test('the seeds of a local run are what the schemas ask for, and price every cluster', () => {
  const read = (name: string): unknown =>
    JSON.parse(readFileSync(new URL(`../config/${name}.json`, import.meta.url), 'utf8'));
  const models = parseValue(catalogue, read('models'));
  assert.ok(models.ok, models.ok ? '' : models.problem);
  assert.equal(models.value.models[0]?.name, localModel);
  assert.ok(parseValue(policy, read('policy')).ok);
  const prices = read('prices') as Record<string, unknown>;
  assert.deepEqual(
    Object.keys(prices),
    localClusters.map(({ id }) => id),
  );
  for (const price of Object.values(prices)) assert.ok(parseValue(tariff, price).ok);
});
