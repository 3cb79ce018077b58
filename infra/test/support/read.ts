/** Readers of values that nobody has typed: what a resource was asked to be. */

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** How Pulumi marks a secret on the wire (sdk/nodejs/runtime/rpc.ts). */
const signature = '4dabf18193072939515e22adb298388d';
const secretSignature = '1b47061264138c4ac30d75fd1eb44270';

export const isSecret = (value: unknown): boolean => isObject(value) && value[signature] === secretSignature;

/** The value itself, whether it was sent as a secret or not. */
export const open = (value: unknown): unknown => (isSecret(value) && isObject(value) ? value.value : value);

/** What is at a path, or undefined. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let here = open(value);
  for (const step of path) {
    if (Array.isArray(here) && typeof step === 'number') here = open(here[step]);
    else if (isObject(here)) here = open(here[String(step)]);
    else return undefined;
  }
  return here;
}

export const list = (value: unknown): readonly unknown[] => {
  const opened = open(value);
  return Array.isArray(opened) ? opened : [];
};

export const entries = (value: unknown): readonly (readonly [string, unknown])[] => {
  const opened = open(value);
  return isObject(opened) ? Object.entries(opened) : [];
};

/** Every text in a value, with the path to it. */
export function texts(
  value: unknown,
  path = '',
): readonly { readonly path: string; readonly text: string }[] {
  const opened = open(value);
  if (typeof opened === 'string') return [{ path, text: opened }];
  if (Array.isArray(opened)) return opened.flatMap((one, index) => texts(one, `${path}[${index}]`));
  return entries(opened).flatMap(([key, one]) => texts(one, path === '' ? key : `${path}.${key}`));
}
