import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { z } from 'zod';
import type { Fleet } from '../../../argocd/src/fleet.ts';
import { projectRoot } from '../../../infra/local/src/parts.ts';
import { registrationAnnotations, registrationLabels } from '../../../infra/src/spec.ts';
import { must, tools } from './tools.ts';
import { kubernetes } from './versions.ts';

/** What the checks look at in an Application's source. */
const source = z.looseObject({
  repoURL: z.string(),
  path: z.string().optional(),
  chart: z.string().optional(),
  ref: z.string().optional(),
  targetRevision: z.string(),
  helm: z
    .looseObject({
      releaseName: z.string(),
      valueFiles: z.array(z.string()).default([]),
      valuesObject: z.record(z.string(), z.unknown()).default({}),
    })
    .optional(),
});

const applicationSpec = z.looseObject({
  project: z.string(),
  source: source.optional(),
  sources: z.array(source).optional(),
  destination: z.strictObject({ server: z.string(), namespace: z.string() }),
});

export const applicationSet = z.looseObject({
  kind: z.literal('ApplicationSet'),
  metadata: z.looseObject({ name: z.string() }),
  spec: z.looseObject({
    generators: z.tuple([
      z.strictObject({
        matrix: z.strictObject({
          generators: z.tuple([
            z.strictObject({
              clusters: z.strictObject({
                selector: z.strictObject({ matchLabels: z.record(z.string(), z.string()) }),
                values: z.record(z.string(), z.string()),
              }),
            }),
            z.strictObject({
              list: z.strictObject({ elements: z.array(z.record(z.string(), z.unknown())) }),
            }),
          ]),
        }),
      }),
    ]),
    template: z.looseObject({ metadata: z.looseObject({ name: z.string() }), spec: z.unknown() }),
  }),
});
export type ApplicationSet = z.infer<typeof applicationSet>;

export type Application = {
  readonly set: string;
  readonly name: string;
  readonly cluster: string;
  readonly project: string;
  readonly sources: readonly z.infer<typeof source>[];
  readonly destination: { readonly server: string; readonly namespace: string };
  /** The whole Application, as Argo CD would make it. */
  readonly manifest: string;
};

/** The resources of an overlay, as Kustomize builds it. */
export async function overlay(environment: string): Promise<Record<string, unknown>[]> {
  const built = await must('kubectl', ['kustomize', join(projectRoot, 'argocd/overlays', environment)]);
  return parseAllDocuments(built).map((document) =>
    z.record(z.string(), z.unknown()).parse(document.toJSON()),
  );
}

export const setsOf = async (environment: string): Promise<ApplicationSet[]> =>
  (await overlay(environment))
    .filter(({ kind }) => kind === 'ApplicationSet')
    .map((resource) => applicationSet.parse(resource));

/** The Secret by which infra registers a cluster: what the cluster generator has to go on. */
export const registration = (environment: string, cluster: Fleet['clusters'][number]) => ({
  name: cluster.name,
  server: `https://${cluster.name}.example.org`,
  metadata: {
    labels: {
      'argocd.argoproj.io/secret-type': 'cluster',
      [registrationLabels.cloud]: cluster.cloud,
      [registrationLabels.env]: environment,
      [registrationLabels.region]: 'somewhere',
      [registrationLabels.role]: cluster.role,
      ...(cluster.gpu && { [registrationLabels.gpu]: 'true' }),
    } as Record<string, string>,
    annotations: {
      [registrationAnnotations.cluster]: cluster.name,
      [registrationAnnotations.registry]: `${cluster.cloud}.example.org/drover`,
      [registrationAnnotations.domain]: `${environment}.example.org`,
      [registrationAnnotations.leafSources]: '203.0.113.7/32,203.0.113.8/32',
      [registrationAnnotations.dnsIdentity]: 'dns-editor',
      [registrationAnnotations.dnsScope]: 'zone',
    },
  },
});

type Registration = ReturnType<typeof registration>;

/** The Applications of one set for the clusters of a fleet. */
export async function renderSet(
  name: string,
  environment: string,
  fleet: Fleet,
  wanted: (cluster: Fleet['clusters'][number]) => boolean = () => true,
): Promise<Application[]> {
  const set = (await setsOf(environment)).find(({ metadata }) => metadata.name === name);
  if (!set) throw new Error(`there is no ApplicationSet ${name}`);
  return render(
    set,
    fleet.clusters.filter(wanted).map((cluster) => registration(environment, cluster)),
  );
}

/** What the matrix of the cluster and the list generator makes of registered clusters. */
export async function render(
  set: ApplicationSet,
  registered: readonly Registration[],
): Promise<Application[]> {
  const [{ matrix }] = set.spec.generators;
  const [{ clusters }, { list }] = matrix.generators;
  const matching = registered.filter(({ metadata }) =>
    Object.entries(clusters.selector.matchLabels).every(([label, value]) => metadata.labels[label] === value),
  );
  const parameters = matching.flatMap((cluster) =>
    list.elements.map((element) => ({ ...cluster, values: clusters.values, ...element })),
  );
  return Promise.all(
    parameters.map(async (values) => {
      const manifest = await fill(set, values);
      const { metadata, spec } = z
        .looseObject({ metadata: z.looseObject({ name: z.string() }), spec: applicationSpec })
        .parse(parse(manifest));
      const sources = spec.sources ?? (spec.source ? [spec.source] : []);
      const { project, destination } = spec;
      return {
        set: set.metadata.name,
        name: metadata.name,
        cluster: values.name,
        project,
        sources,
        destination,
        manifest,
      };
    }),
  );
}

/** Fills the template in, by the template engine that Argo CD uses too: Go's, with sprig, as helm brings it. */
async function fill(set: ApplicationSet, values: Record<string, unknown>): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'drover-set-'));
  try {
    mkdirSync(join(folder, 'templates'));
    writeFileSync(join(folder, 'Chart.yaml'), 'apiVersion: v2\nname: set\nversion: 0.1.0\n');
    writeFileSync(join(folder, 'values.yaml'), stringify(values));
    const { metadata, spec } = set.spec.template;
    const application = {
      apiVersion: 'argoproj.io/v1alpha1',
      kind: 'Application',
      metadata: { namespace: 'argocd', ...metadata },
      spec,
    };
    const body = stringify(application, { lineWidth: 0, defaultStringType: 'BLOCK_LITERAL' });
    writeFileSync(join(folder, 'templates/application.yaml'), `{{- with .Values }}\n${body}{{- end }}\n`);
    const rendered = await must(tools.helm, ['template', 'set', folder, '--kube-version', kubernetes]);
    if (rendered.includes('<no value>'))
      throw new Error(`${set.metadata.name} asks for a parameter that is not there`);
    return rendered.replace(/^---\n# Source.*\n/, '');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export const read = (path: string): string => readFileSync(join(projectRoot, path), 'utf8');
