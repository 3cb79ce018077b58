import { createHash, randomBytes } from 'node:crypto';
import { nkeys } from 'nats';
import type { Action, Resource, Source } from '../core/deploy/types.ts';
import type { World } from './world.ts';

const randomBytesOfPassword = 24;
type MakeSecrets = Action & { kind: 'make-secrets' };

const files = {
  apiKey: 'keys/api-key',
  apiKeys: 'keys/api-keys.json',
  password: 'keys/hub-prometheus',
} as const;
const seedFile = (role: string): string => `keys/${role}.nk`;

/** Whether every secret of a deployment is in its folder. */
export const hasSecrets = ({ nkeys: roles }: MakeSecrets, world: World): boolean =>
  [...Object.values(files), ...roles.map(seedFile)].every((file) => world.read(file) !== undefined);

/** Makes what is missing, and leaves what is there: a seed that changed would lock its owner out. */
export function makeSecrets({ nkeys: roles, tenant }: MakeSecrets, world: World): void {
  for (const role of roles)
    if (world.read(seedFile(role)) === undefined)
      world.write(seedFile(role), new TextDecoder().decode(nkeys.createUser().getSeed()));
  if (world.read(files.password) === undefined) world.write(files.password, password());
  if (world.read(files.apiKey) === undefined) world.write(files.apiKey, `drover-${password()}`);
  if (world.read(files.apiKeys) === undefined) {
    const sha256 = createHash('sha256')
      .update(world.read(files.apiKey) ?? '')
      .digest('hex');
    world.write(files.apiKeys, JSON.stringify({ v: 1, keys: [{ id: 'first', tenant, sha256 }] }));
  }
}

const password = (): string => randomBytes(randomBytesOfPassword).toString('base64url');

/** The values of a resource, read from the deployment's folder. @throws when a file is not there */
export function valuesOf({ entries }: Resource, world: World): Record<string, string> {
  return Object.fromEntries(
    Object.entries(entries).map(([key, source]) => [key, contentFrom(source, world)]),
  );
}

function contentFrom(source: Source, world: World): string {
  if ('text' in source) return source.text;
  if ('file' in source) return contentOf(source.file, world);
  if ('publicKeyOf' in source) {
    const seed = new TextEncoder().encode(contentOf(source.publicKeyOf, world).trim());
    return nkeys.fromSeed(seed).getPublicKey();
  }
  if ('stackOutput' in source) throw new Error(`${source.stackOutput} has to be asked of the stack first`);
  const secret = contentOf(source.htpasswdOf, world);
  // The form that nginx reads without further libraries; the password is random and long, so no salt is missed.
  return `${source.user}:{SHA}${createHash('sha1').update(secret).digest('base64')}`;
}

function contentOf(file: string, world: World): string {
  const text = world.read(file);
  if (text === undefined) throw new Error(`${file} is not there: run the step "keys" first`);
  return text;
}

/** A Secret or ConfigMap as Kubernetes takes it. @param data of a Secret: base64 */
export const manifestOf = (
  { kind, namespace, name, type }: Resource,
  data: Readonly<Record<string, string>>,
): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind,
    metadata: { name, namespace, labels: { 'app.kubernetes.io/managed-by': 'drover' } },
    ...(kind === 'Secret' ? { type: type ?? 'Opaque' } : {}),
    data,
  });

/** As it stands in the field `data`. */
export const asData = (
  kind: Resource['kind'],
  values: Readonly<Record<string, string>>,
): Record<string, string> =>
  kind === 'ConfigMap'
    ? { ...values }
    : Object.fromEntries(
        Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
      );
