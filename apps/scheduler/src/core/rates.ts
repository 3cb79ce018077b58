import type { ClusterView, Rates } from './types.ts';

/**
 * How strongly further streams slow each other on a CPU, in D(b) = D1·b / (1 + β(b−1)). From llama.cpp's own figures:
 * 1.21 times the throughput at 4 streams.
 */
const contention = 0.8;

/**
 * Tokens per second of one whole backend with `b` slots decoding: measured, between two measurements on the line, beyond
 * them by the model above through the nearest one. Undefined while nothing was measured.
 * @param points ascending in `b`, each `b` once
 */
export function decodeTps(points: Rates['decode'], b: number): number | undefined {
  const above = points.find((point) => point.b >= b);
  const below = points.findLast((point) => point.b <= b);
  if (above && below) {
    if (above.b === below.b) return above.tps;
    return below.tps + ((above.tps - below.tps) * (b - below.b)) / (above.b - below.b);
  }
  const nearest = above ?? below;
  return nearest && (nearest.tps * gain(b)) / gain(nearest.b);
}

const gain = (b: number): number => b / (1 + contention * (b - 1));

/** Slots of one node, at least 1. */
export const slotsPerNode = (view: ClusterView): number =>
  Math.max(1, Math.ceil(view.slots / Math.max(1, view.nodes)));
