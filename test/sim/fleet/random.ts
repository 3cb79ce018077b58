/** A stream of random numbers that is the same for the same seed, in every run and on every machine. */
export type Random = {
  /** In [0, 1). */
  uniform(): number;
  normal(): number;
  /** @param mean of the waiting time; Infinity for one that never comes */
  exponential(mean: number): number;
};

/** Mulberry32. Streams of different names are independent for our purposes, so that one more draw here moves nothing there. */
export function randomOf(seed: number, name: string): Random {
  let state = seed ^ hashOf(name);
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal, exponential: (mean) => -mean * Math.log(1 - uniform()) };
}

function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index++)
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  // A last stir, so that neighbouring seeds and names part.
  return Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
}
