import { must, run, tools } from './tools.ts';

const args = [
  '-strict',
  '-summary',
  '-output',
  'text',
  '-schema-location',
  `${tools.kubernetesSchemas}/{{.ResourceKind}}{{.KindSuffix}}.json`,
  '-schema-location',
  `${tools.crdSchemas}/{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json`,
];

/** What kubeconform says about a manifest: unknown fields and kinds without a schema are faults too. */
export const checkManifest = (manifest: string): Promise<{ ok: boolean; output: string }> =>
  run(tools.kubeconform, [...args, '-'], { input: manifest });

/**
 * @param skipped kinds that are not looked at
 * @throws with kubeconform's words when anything in the manifest is not valid
 */
export async function mustBeValid(
  manifest: string,
  what: string,
  skipped: readonly string[] = [],
): Promise<void> {
  await must(tools.kubeconform, [...args, '-skip', skipped.join(), '-'], { input: manifest }).catch(
    (error) => {
      throw new Error(`${what}: ${error instanceof Error ? error.message : error}`);
    },
  );
}
