import { z } from 'zod';

/** A region as the tariffs name it (`eu-west-1`, `westeurope`), or with a `-` at its end all that begin so (`eu-`). */
export const regionPattern = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'use the name of a region, or a beginning that ends in `-`');

/** Patterns that a client, or an API key, may name. */
export const regionsMax = 16;

/** Where a request may be answered: in a region that any of the patterns names. Both lists may leave their share. */
export const regions = z
  .array(regionPattern)
  .min(1)
  .max(2 * regionsMax);

/** Whether a pattern names the region, or all that another pattern names. */
export const namesRegion = (pattern: string, region: string): boolean =>
  pattern === region || (pattern.endsWith('-') && region.startsWith(pattern));

/** What both lists allow; empty when they have nothing in common. Each pattern once. */
export function commonRegions(one: readonly string[], other: readonly string[]): string[] {
  const inBoth = (some: readonly string[], bound: readonly string[]) =>
    some.filter((region) => bound.some((pattern) => namesRegion(pattern, region)));
  return [...new Set([...inBoth(one, other), ...inBoth(other, one)])];
}
