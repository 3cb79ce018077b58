import assert from 'node:assert/strict';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseValue, tariff } from '@drover/schemas';
import { isStale } from '../core/tariffs.ts';
import { readSeeds } from './seeds.ts';

const file = fileURLToPath(new URL('../../../../docs/provider-prices.json', import.meta.url));

test('the list prices of providers can be seeded as they are, are per token, say where they are from, and go stale', () => {
  const { seeds, problems } = readSeeds({ prices: file });
  assert.deepEqual(problems, []);
  assert.ok(seeds.length > 0);
  for (const { key, json } of seeds) {
    const parsed = parseValue(tariff, JSON.parse(json));
    assert.ok(parsed.ok && parsed.value.usdPerMillion, key);
    assert.equal(parsed.value.usdPerHour, 0, key);
    assert.match(parsed.value.source, /not checked with the provider/, key);
    assert.ok(isStale(parsed.value, Date.parse(parsed.value.asOf) + 91 * 86_400_000), key);
  }
});
