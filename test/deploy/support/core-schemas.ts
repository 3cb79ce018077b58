import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/**
 * kubeconform follows no reference from one file to another, and the published schemas of Kubernetes consist of such
 * references. Here every schema gets the definitions that it needs, and stands alone.
 */
const object = z.record(z.string(), z.unknown());
const definitionsFile = z.object({ $defs: z.record(z.string(), object) });

/** A reference to a definition of Kubernetes, as a schema that is not complete yet may contain it. */
export const kubernetesReference = (definition: string): string => `#/$defs/${definition}`;

export type Definitions = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** The definitions of one release, their references made local. */
export const readDefinitions = (folder: string): Definitions =>
  definitionsFile.parse(localised(readFileSync(join(folder, '_definitions.json'), 'utf8'))).$defs;

/** Writes a schema per kind into `target`: `deployment-apps-v1.json`. */
export function writeCoreSchemas(source: string, target: string): void {
  const definitions = readDefinitions(source);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const file of readdirSync(source)) {
    if (file.startsWith('_') || file === 'all.json') continue;
    const schema = object.parse(localised(readFileSync(join(source, file), 'utf8')));
    // Parts of resources have schemas too; only what can stand in a manifest is asked for.
    if (schema['x-kubernetes-group-version-kind'])
      writeFileSync(join(target, file), JSON.stringify(complete(schema, definitions)));
  }
}

/** The schema with every definition that it needs, directly or through another. */
export function complete(schema: Readonly<Record<string, unknown>>, definitions: Definitions): object {
  const { $id: _where, $defs, ...rest } = schema;
  const own = object.parse($defs ?? {});
  const needed: Record<string, unknown> = {};
  const collect = (part: unknown): void => {
    for (const [, name] of JSON.stringify(part).matchAll(/"#\/\$defs\/([^"]+)"/g)) {
      if (name === undefined || name in needed) continue;
      const definition = own[name] ?? definitions[name];
      if (!definition) throw new Error(`${name} is not defined`);
      needed[name] = definition;
      collect(definition);
    }
  };
  collect(rest);
  return { ...rest, $defs: needed };
}

const localised = (text: string): unknown => JSON.parse(text.replaceAll('/api/_definitions.json#/', '#/'));
