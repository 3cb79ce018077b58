import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseValue } from '@drover/schemas';
import { machineShape } from './gcp-shapes.ts';
import { plan } from './plan.ts';

const problemOf = (clusters: object, more: object = {}): string => {
  const parsed = parseValue(plan, { v: 1, clusters, ...more });
  return parsed.ok ? '' : parsed.problem;
};
const aws = { feeder: 'aws-spot', region: 'us-east-1', instanceType: 't3.large' };

test('a plan with every kind of source is accepted', () => {
  const clusters = {
    a: aws,
    g: { feeder: 'gcp-catalogue', region: 'us-central1', instanceType: 'n1-standard-2', market: 'spot' },
    z: { feeder: 'azure-retail', region: 'eastus', instanceType: 'Standard_D2s_v3', market: 'on-demand' },
    f: { feeder: 'file', file: 'prices.yaml' },
  };
  assert.equal(problemOf(clusters), '');
});

test('a plan that cannot be meant is refused, and says where it is wrong', () => {
  const gcp = { feeder: 'gcp-catalogue', region: 'us-central1', market: 'spot' };
  const cases: readonly (readonly [object, RegExp])[] = [
    [{}, /no cluster is named/],
    [{ 'a b': aws }, /a b/],
    [{ a: { ...aws, feeder: 'oracle' } }, /clusters\.a\.feeder/],
    // Without a source: on-demand prices of AWS come from a file.
    [{ a: { ...aws, market: 'on-demand' } }, /market/],
    [{ a: { ...aws, region: 'cn-north-1' } }, /not in USD/],
    [{ a: { ...aws, instanceType: "x' or '1' eq '1" } }, /instanceType/],
    [{ a: { ...gcp, instanceType: 'e2-medium' } }, /not a machine type/],
    [{ a: { ...aws, validForMs: 300_000 } }, /stale before the next turn/],
  ];
  for (const [clusters, problem] of cases) assert.match(problemOf(clusters), problem);
});

test('a machine type of GCP is its cores and its memory, and what is not in the table is unknown', () => {
  assert.deepEqual(machineShape('n1-standard-2'), { title: 'N1 Predefined', cpus: 2, memoryGib: 7.5 });
  assert.deepEqual(machineShape('n2d-highmem-8'), { title: 'N2D AMD', cpus: 8, memoryGib: 64 });
  for (const type of ['e2-medium', 'n1-standard-0', 'a2-highgpu-1g', 'n1-standard-2-x', 'constructor'])
    assert.equal(machineShape(type), undefined, type);
});
