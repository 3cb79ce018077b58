import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSecret } from '@pulumi/pulumi';
import fc from 'fast-check';
import type { Config } from '../src/config.ts';
import { everyClusterHasABudget } from './checks/budgets.ts';
import type { Check } from './checks/check.ts';
import { noOpenEndpoint } from './checks/endpoints.ts';
import { oidcOn } from './checks/identity.ts';
import { namesFit } from './checks/names.ts';
import {
  acceleratorsAreTainted,
  everyClusterHasItsPools,
  noAccelerators,
  spotFromZero,
  taintsAsSpecified,
} from './checks/pools.ts';
import { secretsAreMarked } from './checks/secrets.ts';
import { nodesAreTagged, taggedWherePossible } from './checks/tags.ts';
import { anyConfig } from './support/any-config.ts';
import { type Deployed, deploy } from './support/deploy.ts';

/** All properties see the same fleets: each is deployed once. A failure tells the seed. */
const seed = Number(process.env.FC_SEED ?? Date.now() % 2_147_483_647);
const runs = { seed, numRuns: 15 };
const deployed = new Map<string, Promise<Deployed>>();

const fleetOf = (config: Config): Promise<Deployed> => {
  const key = JSON.stringify(config);
  const found = deployed.get(key) ?? deploy(config, 'a token');
  deployed.set(key, found);
  return found;
};

const asConfigured = anyConfig(fc.boolean());
const byDefault = anyConfig(fc.constant(false));

const holds = (check: Check, configs: fc.Arbitrary<Config> = asConfigured): Promise<void> =>
  fc.assert(
    fc.asyncProperty(configs, async (config) => {
      assert.deepEqual(check((await fleetOf(config)).resources), []);
    }),
    runs,
  );

test('spot pools start at zero in every cloud, and what is not a model runs on demand', () =>
  holds(spotFromZero));
test('every cluster has one system pool and one pool for models', () => holds(everyClusterHasItsPools));
test('every pool carries exactly the taints of the spec', () => holds(taintsAsSpecified));
test('nobody gets an accelerated node without asking for one', () => holds(noAccelerators, byDefault));
test('an accelerated node admits only what asks for it', () => holds(acceleratorsAreTainted));
test('no endpoint is open to the world', () => holds(noOpenEndpoint));
test('every cluster has OIDC and workload identity', () => holds(oidcOn));
test('everything that can be tagged has all tags', () => holds(taggedWherePossible));
test('nodes are tagged by their pool', () => holds(nodesAreTagged));
test('every kubeconfig and credential is marked as secret', () => holds(secretsAreMarked));
test('names fit the limits of their cloud and are unique', () => holds(namesFit));
test('every cluster has a budget that tells somebody', () => holds(everyClusterHasABudget));

test('the kubeconfigs of the stack are a secret, and what an operator reads is not', () =>
  fc.assert(
    fc.asyncProperty(asConfigured, async (config) => {
      const { outputs } = await fleetOf(config);
      assert.equal(await isSecret(outputs.kubeconfigs), true);
      assert.equal(await isSecret(outputs.egress), false);
      assert.equal(await isSecret(outputs.nameServers), false);
    }),
    runs,
  ));
