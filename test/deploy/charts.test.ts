import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { parse } from 'yaml';
import {
  charts,
  chartsDir,
  eachOf,
  lint,
  matrix,
  render,
  resourcesOf,
  tryRender,
  type Variant,
  variants,
} from './support/charts.ts';
import { checkManifest, mustBeValid } from './support/kubeconform.ts';
import { ensureTools, must, tools } from './support/tools.ts';

const manifests = new Map<string, string>();

before(async () => {
  await ensureTools();
  await eachOf(variants, async (variant) => void manifests.set(variant.name, await render(variant)));
});

const plain = (chart: string): Variant =>
  variants.find((variant) => variant.chart === chart) ?? assert.fail(`no variant of ${chart}`);
const manifestOf = (chart: string): string => manifests.get(plain(chart).name) ?? assert.fail();

test('every chart has a schema of its values, notes, tests, and no remote dependencies', () => {
  assert.deepEqual(charts, ['llm-server', 'observability', 'router']);
  for (const chart of charts) {
    for (const file of ['values.schema.json', 'templates/NOTES.txt', 'tests'])
      assert.ok(existsSync(join(chartsDir, chart, file)), `${chart} has no ${file}`);
    const about = parse(readFileSync(join(chartsDir, chart, 'Chart.yaml'), 'utf8'));
    assert.equal(about.dependencies, undefined, `${chart} has dependencies`);
  }
});

test('helm lint --strict has nothing to say about any chart in any cloud and environment', async () => {
  await eachOf(matrix, async (variant) => {
    const { ok, output } = await lint(variant);
    assert.ok(ok && !output.includes('[WARNING]'), `${variant.name}: ${output}`);
  });
});

test('every chart renders for every cloud and environment into resources that Kubernetes knows whole', async () => {
  await eachOf([...manifests], ([name, manifest]) => mustBeValid(manifest, name));
});

test("the charts' own unit tests pass", async () => {
  for (const chart of ['llm-server', 'router']) {
    const output = await must(tools.helmUnittest, [join(chartsDir, chart)]);
    assert.match(output, /Tests:\s+\d+ passed, \d+ total/);
  }
});

test('a wrong field in any kind of resource is found', async () => {
  const kinds = new Map<string, string>();
  for (const manifest of manifests.values())
    for (const document of manifest.split(/^---$/m))
      for (const [, kind] of document.matchAll(/^kind: (\w+)$/gm)) if (kind) kinds.set(kind, document);
  assert.ok(kinds.size >= 14, `only ${[...kinds.keys()]}`);
  for (const [kind, document] of kinds) {
    assert.ok((await checkManifest(document)).ok, `${kind} is not valid to begin with`);
    // A field of its own for every kind that has fields: in `spec`, and in the resource itself where there is no spec.
    const faulty = /^spec:$/m.test(document)
      ? document.replace(/^spec:$/m, 'spec:\n  droverPlantedFault: true')
      : document.replace(/^kind: \w+$/m, '$&\ndroverPlantedFault: true');
    const { ok, output } = await checkManifest(faulty);
    assert.ok(!ok && output.includes('droverPlantedFault'), `${kind}: ${output}`);
  }
});

test('a kind without a schema is a fault, not something to skip', async () => {
  const { ok, output } = await checkManifest(
    'apiVersion: example.org/v1\nkind: Unheard\nmetadata: { name: x }\n',
  );
  assert.ok(!ok && output.includes('could not find schema'), output);
});

test('a misspelt value, a bad one, and one too many are refused by the schema of the values', async () => {
  const faults: readonly (readonly [string, string])[] = [
    ['llm-server', 'slotz=4'],
    ['llm-server', 'slots=0'],
    ['llm-server', 'cloud=moon'],
    ['llm-server', 'cluster=a.b'],
    ['llm-server', 'cluster=scheduler'],
    ['llm-server', 'image.agent.digest=latest'],
    ['llm-server', 'backend=openai'],
    ['llm-server', 'provider.limitField=tokens'],
    ['router', 'nats.replicas=2'],
    ['router', 'clusters={a b}'],
    ['router', 'ingress.hots=x'],
    ['observability', 'budgetUsdPerDay=0'],
  ];
  for (const [chart, fault] of faults) {
    const { ok, output } = await tryRender(chart, ['--set', fault]);
    assert.ok(!ok && output.includes("values don't meet"), `${chart} ${fault}: ${output}`);
  }
});

test('every container runs without root, without privileges and on a file system that it cannot write', () => {
  let seen = 0;
  for (const [name, manifest] of manifests)
    for (const { kind, metadata, spec } of resourcesOf(manifest)) {
      if (kind !== 'Deployment' && kind !== 'Job') continue;
      const pod = Object(spec).template.spec;
      assert.equal(pod.automountServiceAccountToken, false, `${name} ${metadata.name}`);
      assert.equal(pod.securityContext.runAsNonRoot, true);
      assert.equal(pod.securityContext.seccompProfile.type, 'RuntimeDefault');
      for (const container of [...(pod.initContainers ?? []), ...pod.containers]) {
        seen += 1;
        const about = `${name} ${metadata.name} ${container.name}`;
        assert.match(container.image, /@sha256:[0-9a-f]{64}$/, about);
        assert.equal(container.securityContext.readOnlyRootFilesystem, true, about);
        assert.equal(container.securityContext.allowPrivilegeEscalation, false, about);
        assert.deepEqual(container.securityContext.capabilities.drop, ['ALL'], about);
        // One exception, by name: the folder of a node belongs to root when the kubelet has made it.
        if (container.name !== 'own-cache') assert.equal(container.securityContext.runAsNonRoot, true, about);
        assert.ok(container.resources?.limits?.memory, `${about} has no memory limit`);
      }
    }
  assert.ok(seen > 80, `${seen}`);
});

test('every workload is under a network policy that names each way in and out', () => {
  for (const [name, manifest] of manifests) {
    const all = resourcesOf(manifest);
    const policies = all.filter(({ kind }) => kind === 'NetworkPolicy').map(({ spec }) => Object(spec));
    for (const { kind, metadata, spec } of all) {
      if (kind !== 'Deployment' && kind !== 'Job') continue;
      const labels = Object(spec).template.metadata.labels;
      const policy = policies.find(({ podSelector }) =>
        Object.entries(podSelector.matchLabels).every(([key, value]) => labels[key] === value),
      );
      assert.ok(policy, `${name}: no policy selects ${metadata.name}`);
      assert.deepEqual(policy.policyTypes, ['Ingress', 'Egress']);
      for (const rule of [...(policy.ingress ?? []), ...policy.egress])
        assert.ok(
          rule.ports.length > 0 && (rule.from ?? rule.to)?.length > 0,
          `${name}: a rule of ${metadata.name} is open`,
        );
    }
  }
});

test('without autoscaling the number of replicas is stated, with it nobody but the autoscaler says it', () => {
  for (const [name, manifest] of manifests) {
    const all = resourcesOf(manifest);
    const scaled = all
      .filter(({ kind }) => kind === 'ScaledObject' || kind === 'HorizontalPodAutoscaler')
      .map(({ spec }) => Object(spec).scaleTargetRef.name);
    for (const { kind, metadata, spec } of all)
      if (kind === 'Deployment')
        assert.equal('replicas' in Object(spec), !scaled.includes(metadata.name), `${name} ${metadata.name}`);
  }
  assert.match(manifestOf('llm-server'), /minReplicaCount: 0/);
});
