import { type ClusterId, type Profile, type Wake, wakeTtlMs } from '@drover/schemas';
import { usualBootMs } from './profiles.ts';

type Wanted = { readonly sinceMs: number; readonly heardAtMs: number };

/**
 * The nodes that are wanted, by cluster and number, as their messages on `llm.wake.>` say. One that was not renewed in
 * time is not wanted any more.
 */
export class WantedNodes {
  readonly #clusters = new Map<ClusterId, Map<number, Wanted>>();

  hear({ cluster, node, sinceMs }: Wake, nowMs: number): void {
    const nodes = this.#clusters.get(cluster) ?? new Map<number, Wanted>();
    nodes.set(node, { sinceMs, heardAtMs: nowMs });
    this.#clusters.set(cluster, nodes);
  }

  forget(cluster: ClusterId, node: number): void {
    this.#clusters.get(cluster)?.delete(node);
  }

  clear(): void {
    this.#clusters.clear();
  }

  /** Numbers of the wanted nodes of a cluster, ascending. */
  nodes(cluster: ClusterId, nowMs: number): number[] {
    return [...this.#live(cluster, nowMs).keys()].sort((a, b) => a - b);
  }

  /** When a wanted node was first asked for. */
  sinceMs(cluster: ClusterId, node: number): number | undefined {
    return this.#clusters.get(cluster)?.get(node)?.sinceMs;
  }

  /** When the latest of them was asked for; undefined when none is wanted. */
  latestMs(cluster: ClusterId, nowMs: number): number | undefined {
    const times = [...this.#live(cluster, nowMs).values()].map(({ sinceMs }) => sinceMs);
    return times.length === 0 ? undefined : Math.max(...times);
  }

  #live(cluster: ClusterId, nowMs: number): ReadonlyMap<number, Wanted> {
    const nodes = this.#clusters.get(cluster) ?? new Map<number, Wanted>();
    for (const [node, { heardAtMs }] of nodes) if (nowMs - heardAtMs > wakeTtlMs) nodes.delete(node);
    return nodes;
  }
}

/** A cluster whose next node is on its way. */
export type Starting = { readonly wokenAtMs: number; readonly profile: Profile | undefined };

/**
 * How long until the first of the nodes that start is ready, in ms, by how long their clusters usually take; undefined
 * when none starts, or nobody knows how long one takes. One that is late may be there any moment: 0.
 */
export function startEtaMs(starting: readonly Starting[], nowMs: number): number | undefined {
  const etas = starting.flatMap(({ wokenAtMs, profile }) => {
    const bootMs = usualBootMs(profile);
    return bootMs === undefined ? [] : [Math.max(0, wokenAtMs + bootMs - nowMs)];
  });
  return etas.length === 0 ? undefined : Math.min(...etas);
}
