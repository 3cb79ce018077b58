export type Change = { readonly path: string; readonly from: unknown; readonly to: unknown };

/** Pure. What differs between two values of JSON, leaf by leaf. Lists count as one leaf. */
export function difference(from: unknown, to: unknown, path = ''): Change[] {
  if (isObject(from) && isObject(to)) {
    const keys = [...new Set([...Object.keys(from), ...Object.keys(to)])].toSorted();
    return keys.flatMap((key) => difference(from[key], to[key], path === '' ? key : `${path}.${key}`));
  }
  return JSON.stringify(from) === JSON.stringify(to) ? [] : [{ path, from, to }];
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Pure. Changes as lines; what is absent is a dash. */
export const changeLines = (changes: readonly Change[]): string[] =>
  changes.map(({ path, from, to }) => `${path}: ${leaf(from)} → ${leaf(to)}`);

const leaf = (value: unknown): string => (value === undefined ? '-' : JSON.stringify(value));
