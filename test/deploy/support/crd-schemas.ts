import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { complete, type Definitions, kubernetesReference } from './core-schemas.ts';

/**
 * JSON Schemas of custom resources for kubeconform, derived from the type declarations of `@kubernetes-models/*`: the
 * packages ship compiled validators, which say nothing about unknown fields, while the declarations name every field.
 * Objects are closed, so a misspelt field is an error.
 */
type Schema = Readonly<Record<string, unknown>>;

const require = createRequire(import.meta.url);
const packages = ['argo-cd', 'cert-manager', 'keda', 'prometheus-operator'] as const;

/** Writes one file per custom resource, `<group>/<kind>_<version>.json`, all in lower case. */
export function writeCrdSchemas(folder: string, kubernetes: Definitions): void {
  rmSync(folder, { recursive: true, force: true });
  for (const name of packages) {
    const root = dirname(require.resolve(`@kubernetes-models/${name}/package.json`));
    for (const file of declarations(root)) {
      const gvk = resourceOf(readFileSync(file, 'utf8'));
      if (!gvk) continue;
      mkdirSync(join(folder, gvk.group), { recursive: true });
      writeFileSync(
        join(folder, gvk.group, `${gvk.kind}_${gvk.version}.json`.toLowerCase()),
        JSON.stringify(complete(schemaOf(file, gvk.kind), kubernetes)),
      );
    }
  }
}

const declarations = (root: string): string[] =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.d.ts') && !file.includes('node_modules') && !file.startsWith('_'))
    .map((file) => join(root, file));

function resourceOf(text: string): { group: string; version: string; kind: string } | undefined {
  const [, group, version] = /"apiVersion": "([^/"]+)\/([^"]+)";/.exec(text) ?? [];
  const kind = /"kind": "([^"]+)";/.exec(text)?.[1];
  if (!group || !version || !kind || kind.endsWith('List')) return undefined;
  return { group, version, kind };
}

function schemaOf(file: string, kind: string): Schema {
  const $defs: Record<string, Schema | null> = {};
  const body = new Declarations($defs).named(file, `I${kind}`);
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', ...body, $defs };
}

/** Reads declarations, following imports; every named type becomes a definition, so that types may be recursive. */
class Declarations {
  readonly #defs: Record<string, Schema | null>;

  constructor(defs: Record<string, Schema | null>) {
    this.#defs = defs;
  }

  /** A reference to the type `name`, as `file` exports it. */
  named(file: string, name: string): Schema {
    if (!(name in this.#defs)) {
      this.#defs[name] = null; // The type may contain itself.
      this.#defs[name] = this.#read(file, name);
    }
    return { $ref: `#/$defs/${name}` };
  }

  #read(file: string, exported: string): Schema {
    const text = readFileSync(file, 'utf8').replaceAll(/\/\*\*[\s\S]*?\*\//g, '');
    const local = new RegExp(`(\\w+) as ${exported}\\b`).exec(text)?.[1] ?? exported;
    const start = new RegExp(`(?:interface ${local}(?: extends ([\\w, ]+?))? (?=\\{)|type ${local} = )`).exec(
      text,
    );
    if (!start) throw new Error(`${file} does not declare ${exported}`);
    const resolve = (reference: string) => this.#resolve(file, text, reference);
    const own = new TypeReader(text.slice(start.index + start[0].length), resolve).type();
    const parents = (start[1] ?? '').split(/, ?/).filter((parent) => parent !== '' && parent !== 'TypeMeta');
    return parents.reduce((schema, parent) => this.#extended(schema, resolve(parent)), own);
  }

  /** An interface with the fields of the one that it extends. */
  #extended(own: Schema, parent: Schema): Schema {
    const base = objectSchema.parse(this.#defs[String(parent.$ref).replace('#/$defs/', '')] ?? {});
    const self = objectSchema.parse(own);
    // A parent that is Kubernetes' own is not read here; the type then accepts more than it should.
    const additionalProperties = base.properties === undefined ? true : own.additionalProperties;
    const required = [...(base.required ?? []), ...(self.required ?? [])];
    return {
      type: 'object',
      properties: { ...base.properties, ...self.properties },
      additionalProperties,
      ...(required.length > 0 && { required }),
    };
  }

  #resolve(file: string, text: string, name: string): Schema {
    if (wellKnown[name]) return wellKnown[name];
    const from = new RegExp(`import \\{[^}]*\\b${name}\\b[^}]*\\} from "([^"]+)"`).exec(text)?.[1];
    if (!from) return this.named(file, name);
    if (from.startsWith('kubernetes-models/')) return kubernetesType(name);
    const target = from.startsWith('.')
      ? join(dirname(file), from)
      : from.replace(/^(@[^/]+\/[^/]+)/, (scope) => dirname(require.resolve(`${scope}/package.json`)));
    return this.named(`${target.replace(/\.js$/, '')}.d.ts`, name);
  }
}

const objectSchema = z.looseObject({
  properties: z.record(z.string(), z.unknown()).optional(),
  required: z.array(z.string()).optional(),
});

/** Types whose declaration says less than their schema does. */
const wellKnown: Readonly<Record<string, Schema>> = {
  IIoK8sApimachineryPkgApisMetaV1Time: { type: 'string', format: 'date-time' },
  IIoK8sApiextensionsApiserverPkgApisApiextensionsV1JSON: {},
};

/** `IIoK8sApiCoreV1Affinity` → that definition in the schemas of Kubernetes itself. */
function kubernetesType(name: string): Schema {
  const [, group, version, kind] = /^IIoK8sApi([A-Z][a-z]+)(V\d+)(\w+)$/.exec(name) ?? [];
  if (!group || !version || !kind) throw new Error(`unknown type of Kubernetes: ${name}`);
  return { $ref: kubernetesReference(`io.k8s.api.${group.toLowerCase()}.${version.toLowerCase()}.${kind}`) };
}

/** A reader of the small part of TypeScript in which the declarations are written. */
class TypeReader {
  #rest: string;
  readonly #resolve: (name: string) => Schema;

  constructor(source: string, resolve: (name: string) => Schema) {
    this.#rest = source;
    this.#resolve = resolve;
  }

  type(): Schema {
    this.#take(/^\|/);
    const options = [this.#single()];
    while (this.#take(/^[|&]/)) options.push(this.#single());
    const [only] = options;
    return options.length === 1 && only ? only : { anyOf: options };
  }

  #single(): Schema {
    const primitive = this.#take(/^(string|number|boolean|null|any|unknown|object)\b/);
    if (primitive === 'any' || primitive === 'unknown' || primitive === 'object') return {};
    if (primitive !== undefined) return { type: primitive };
    const literal = this.#take(/^"(?:[^"\\]|\\.)*"|^-?\d+(?:\.\d+)?|^true\b|^false\b/);
    if (literal !== undefined) return { const: JSON.parse(literal) };
    if (this.#take(/^\(/) !== undefined) return this.#until(/^\)/);
    if (this.#take(/^Array</) !== undefined) return { type: ['array', 'null'], items: this.#until(/^>/) };
    if (this.#take(/^\{/) !== undefined) return this.#object();
    const name = this.#take(/^\w+/);
    if (name !== undefined) return this.#resolve(name);
    throw new Error(`cannot read the type ${this.#rest.slice(0, 60)}`);
  }

  #until(end: RegExp): Schema {
    const inner = this.type();
    if (this.#take(end) === undefined) throw new Error(`${end} expected at ${this.#rest.slice(0, 60)}`);
    return inner;
  }

  #object(): Schema {
    const properties: Record<string, Schema> = {};
    const required: string[] = [];
    let others: Schema | false = false;
    while (this.#take(/^\}/) === undefined) {
      if (this.#take(/^\[key: string\]:/) !== undefined) others = this.type();
      else {
        const name = this.#take(/^"[^"]+"|^\w+/);
        if (name === undefined) throw new Error(`a field expected at ${this.#rest.slice(0, 60)}`);
        const key = name.replaceAll('"', '');
        if (this.#take(/^\?/) === undefined) required.push(key);
        if (this.#take(/^:/) === undefined) throw new Error(`a colon expected after ${name}`);
        properties[key] = this.type();
      }
      this.#take(/^;/);
    }
    // No field at all is how the declarations write "any object".
    if (Object.keys(properties).length === 0 && others === false) return { type: 'object' };
    return {
      type: 'object',
      properties,
      additionalProperties: others,
      ...(required.length > 0 && { required }),
    };
  }

  /** The text that `pattern` matches here, white space before it skipped; undefined when it does not match. */
  #take(pattern: RegExp): string | undefined {
    this.#rest = this.#rest.trimStart();
    const found = pattern.exec(this.#rest)?.[0];
    if (found !== undefined) this.#rest = this.#rest.slice(found.length);
    return found;
  }
}
