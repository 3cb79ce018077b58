import type { Policy, Priority } from '@drover/schemas';
import type { ClusterStatus } from './fleet.ts';

/** The whole system at one moment. */
export type Overview = {
  readonly atMs: number;
  readonly policy: { readonly strategy: Policy['strategy']; readonly revision: number } | null;
  readonly clusters: readonly ClusterStatus[];
  /** Requests that no cluster has been chosen for. */
  readonly queue: readonly { readonly band: Priority; readonly waiting: number }[];
  readonly deadLetters: number;
};
