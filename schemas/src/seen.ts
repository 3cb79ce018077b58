import type { Unit } from './transcript.ts';

/** Of a reader that has seen nothing. */
export const nothingSeen = 0x811c9dc5;

/**
 * What a reader has seen, as one number of 32 bits (FNV-1a): two replies that begin alike have the same, two that do not
 * almost never. A reader that comes back says it with the number of its units, so that nobody goes on with another reply.
 */
export function seenAfter(seen: number, unit: Unit): number {
  switch (unit.k) {
    case 'token':
      return mixNumber(seen, unit.id);
    case 'delta':
      return mixText(mix(seen, 1), JSON.stringify(unit.choices));
    case 'body':
      return mixText(mix(seen, 2), unit.t);
  }
}

export const seenOf = (units: readonly Unit[]): number => units.reduce(seenAfter, nothingSeen);

const mix = (seen: number, byte: number): number => Math.imul(seen ^ byte, 0x01000193) >>> 0;

function mixNumber(seen: number, value: number): number {
  let mixed = seen;
  for (let shift = 0; shift < 32; shift += 8) mixed = mix(mixed, (value >>> shift) & 0xff);
  return mixed;
}

function mixText(seen: number, text: string): number {
  let mixed = seen;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    mixed = mix(mix(mixed, code & 0xff), code >>> 8);
  }
  return mixed;
}
