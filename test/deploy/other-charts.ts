import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { type Fleet, fleet } from '../../argocd/src/fleet.ts';
import { projectRoot } from '../../infra/local/src/parts.ts';
import { read, renderSet } from './support/application-sets.ts';
import { resourcesOf } from './support/charts.ts';
import { mustBeValid } from './support/kubeconform.ts';
import { type Conf, chartValues, confText, deepMerge, serverConfig } from './support/nats-chart.ts';
import { ensureTools, must, tools } from './support/tools.ts';
import { kubernetes } from './support/versions.ts';

/**
 * The charts of others with our values: each renders, and the NATS chart makes what stands for it in the other tests. They are
 * at addresses that not every machine reaches, so a folder that holds them is given: DROVER_CHARTS=<folder>, in it
 * `nats` (2.14.2), `keda`, `cert-manager`, `external-dns`, `ingress-nginx`, `kube-prometheus-stack`.
 */
const folderOfCharts = process.env.DROVER_CHARTS ?? assert.fail('DROVER_CHARTS names no folder of charts');
const chart = join(folderOfCharts, 'nats');
const theFleet: Fleet = fleet.parse(JSON.parse(read('argocd/environments/prod/fleet.json')));

before(ensureTools);

for (const [role, release] of [
  ['hub', 'nats'],
  ['leaf', 'nats-leaf'],
] as const)
  test(`the official chart makes of the ${role}'s values the configuration that the tests start`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'drover-nats-chart-'));
    try {
      const [application] = await renderSet(`nats-${role}`, 'prod', theFleet);
      const source = application?.sources[0] ?? assert.fail();
      const files = (source.helm?.valueFiles ?? []).map((path) => parse(read(path.replace('$values/', ''))));
      const values: Conf = [...files, source.helm?.valuesObject ?? {}].reduce(deepMerge, {});
      const file = join(folder, 'values.yaml');
      writeFileSync(file, stringify(values));
      const manifest = await must(tools.helm, [
        'template',
        release,
        chart,
        '--namespace',
        'nats',
        '--kube-version',
        kubernetes,
        '--values',
        file,
      ]);
      await mustBeValid(manifest, release);
      const configMap = resourcesOf(manifest).find(({ kind }) => kind === 'ConfigMap') ?? assert.fail();
      const rendered = z.object({ 'nats.conf': z.string() }).parse(configMap.data)['nats.conf'];
      assert.deepEqual(asJson(rendered), asJson(confText(serverConfig(chartValues.parse(values), release))));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

for (const [set, ...apps] of [
  ['platform', 'cert-manager', 'keda'],
  ['monitoring-hub', 'kube-prometheus-stack'],
  ['monitoring-leaf', 'kube-prometheus-stack'],
  ['ingress-nginx', 'ingress-nginx'],
  ['external-dns', 'external-dns'],
] as const)
  test(`${set}: the charts of ${apps.join(', ')} render with our values`, async () => {
    const wanted = set === 'monitoring-leaf' ? 'gcp' : 'aws';
    const applications = await renderSet(set, 'prod', theFleet, ({ cloud }) => cloud === wanted);
    assert.equal(applications.length, apps.length);
    const folder = mkdtempSync(join(tmpdir(), 'drover-charts-'));
    try {
      for (const { sources } of applications) {
        const helm = sources[0]?.helm ?? assert.fail();
        const object = join(folder, 'object.yaml');
        writeFileSync(object, stringify(helm.valuesObject));
        const files = [
          ...helm.valueFiles.map((path) => join(projectRoot, path.replace('$values/', ''))),
          object,
        ];
        const manifest = await must(tools.helm, [
          'template',
          helm.releaseName,
          join(folderOfCharts, helm.releaseName),
          '--kube-version',
          kubernetes,
          ...['monitoring.coreos.com/v1', 'cert-manager.io/v1'].flatMap((api) => ['--api-versions', api]),
          ...files.flatMap((file) => ['--values', file]),
        ]);
        assert.ok(resourcesOf(manifest).length > 3, helm.releaseName);
        await mustBeValid(manifest, helm.releaseName, ['CustomResourceDefinition']);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

/** The configuration with its unquoted words quoted, so that it can be compared as data. */
const asJson = (conf: string): unknown =>
  JSON.parse(conf.replaceAll(/: ([$A-Z0-9][\w$]*[A-Za-z][\w$]*)(,?)$/gm, ': "$1"$2'));
