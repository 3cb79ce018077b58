import { createHash } from 'node:crypto';

const parts = 2 ** 48;

/** A number in [0, 1) that the same text gives everywhere: spread evenly, and unrelated to that of any other text. */
export const drawnFrom = (...text: readonly (string | number)[]): number =>
  createHash('sha256').update(JSON.stringify(text)).digest().readUIntBE(0, 6) / parts;
