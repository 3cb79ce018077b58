import type { Arm, ClusterId, Endpoint, RequestId, TenantId } from '@drover/schemas';

/** An assignment this young may be missing from a listing that was made before it was stored. */
const inFlightMs = 2_000;
/** A settled job may still be listed until its agent has acknowledged it. */
const settledMs = 10_000;

/**
 * One assignment that is not settled. `reserved`: the job is being published. `assigned`: it waits for an agent's slot.
 * `running`: an agent has claimed it. `released`: the agent gave it back; it holds no slot.
 */
export type Assignment = {
  readonly id: RequestId;
  readonly tenant: TenantId;
  readonly cluster: ClusterId;
  readonly attempt: number;
  readonly state: 'reserved' | 'assigned' | 'running' | 'released';
  /** When it came into this state, in ms. */
  readonly sinceMs: number;
  /** Absent when another scheduler assigned it. */
  readonly endpoint?: Endpoint;
  /** Absent when another scheduler assigned it, and for models that were asked for by their own name. */
  readonly arm?: Arm;
  /** Absent also where the prompt's length was not guessed. */
  readonly guess?: PromptGuess;
  /** What was expected of it when it was assigned; absent when another scheduler assigned it. */
  readonly expected?: Expectation;
};

/** Tokens of a prompt by its bytes: its end tells how many they were. */
export type PromptGuess = { readonly model: string; readonly tokens: number };

/** What a decision promised, before any correction by residuals: the end of the request tells how wrong it was. */
export type Expectation = {
  readonly atMs: number;
  readonly ttftMs: number;
  readonly tpotMs: number;
  readonly outputTokens: number;
  readonly cachedTokens: number;
};

export type Listing = ReadonlyMap<RequestId, readonly ClusterId[]>;
export type Unlisted = { readonly id: RequestId; readonly cluster: ClusterId };

/**
 * What was sent and not yet settled: the fast signal of load. Fed by our own publishes, other schedulers' decisions and
 * events; corrected by the list of jobs in LLM_JOBS. The load of a cluster is the number of its assignments that hold a
 * slot or wait for one.
 */
export class Ledger {
  readonly #assignments = new Map<RequestId, Assignment>();
  readonly #before = new Map<RequestId, Assignment>();
  readonly #settledAtMs = new Map<RequestId, number>();
  readonly #loads = new Map<ClusterId, number>();
  readonly #idleSinceMs = new Map<ClusterId, number>();

  get size(): number {
    return this.#assignments.size;
  }

  get(id: RequestId): Assignment | undefined {
    return this.#assignments.get(id);
  }

  all(): Iterable<Assignment> {
    return this.#assignments.values();
  }

  load(cluster: ClusterId): number {
    return this.#loads.get(cluster) ?? 0;
  }

  /** When the last job of the cluster ended; undefined while it has one, and before its first. */
  idleSinceMs(cluster: ClusterId): number | undefined {
    return this.load(cluster) === 0 ? this.#idleSinceMs.get(cluster) : undefined;
  }

  /** Takes a slot before the job is published. A job that is moved leaves its old place at once. */
  reserve(assignment: Omit<Assignment, 'state'>): void {
    const before = this.#assignments.get(assignment.id);
    if (before) this.#before.set(assignment.id, before);
    this.#put({ ...assignment, state: 'reserved' });
  }

  /** The job is stored. An event may have been faster, and then says more. */
  confirm(id: RequestId, nowMs: number): void {
    this.#before.delete(id);
    const assignment = this.#assignments.get(id);
    if (assignment?.state === 'reserved') this.#put({ ...assignment, state: 'assigned', sinceMs: nowMs });
  }

  /** The job was not stored: the reservation is given back, and what it replaced stands again. */
  release(id: RequestId): void {
    const before = this.#before.get(id);
    this.#before.delete(id);
    if (this.#assignments.get(id)?.state !== 'reserved') return;
    if (before) this.#put(before);
    else this.#drop(id);
  }

  /** An agent has claimed the request. */
  running(claim: Omit<Assignment, 'state'>): void {
    this.#progress({ ...claim, state: 'running' });
  }

  /** An agent has given the request back. */
  released(claim: Omit<Assignment, 'state'>): void {
    this.#progress({ ...claim, state: 'released' });
  }

  /** The request has its outcome. Returns what is known of the assignment that it ends. */
  ended(id: RequestId, nowMs: number): Assignment | undefined {
    const assignment = this.#assignments.get(id);
    this.#drop(id);
    if (assignment) this.#idleSinceMs.set(assignment.cluster, nowMs);
    this.#settledAtMs.delete(id);
    this.#settledAtMs.set(id, nowMs);
    return assignment;
  }

  /** Another scheduler's assignment, or one from before our time. Ignored when we know as much or more. */
  adopt(assignment: Assignment, nowMs: number): boolean {
    const known = this.#assignments.get(assignment.id);
    if (this.settledLately(assignment.id, nowMs)) return false;
    if (known && known.attempt >= assignment.attempt) return false;
    this.#put(assignment);
    return true;
  }

  /** Forgets an assignment that turned out not to exist. */
  forget(id: RequestId): void {
    this.#before.delete(id);
    this.#drop(id);
  }

  /**
   * Compares with the jobs that exist. Drops assignments whose job is gone; returns listed jobs that we do not have under
   * that cluster (to be read and adopted) and requests that have jobs at two clusters (the lower attempt is superseded).
   */
  reconcile(listing: Listing, nowMs: number): { unknown: Unlisted[]; doubled: RequestId[] } {
    for (const [id, atMs] of this.#settledAtMs) {
      if (nowMs - atMs < settledMs) break;
      this.#settledAtMs.delete(id);
    }
    for (const assignment of [...this.#assignments.values()]) {
      if (assignment.state === 'reserved' || nowMs - assignment.sinceMs < inFlightMs) continue;
      if (!listing.get(assignment.id)?.includes(assignment.cluster)) this.#drop(assignment.id);
    }
    const unknown: Unlisted[] = [];
    const doubled: RequestId[] = [];
    for (const [id, clusters] of listing) {
      if (clusters.length > 1) doubled.push(id);
      const cluster = clusters[0];
      if (cluster === undefined || this.#assignments.has(id) || this.settledLately(id, nowMs)) continue;
      unknown.push({ id, cluster });
    }
    return { unknown, doubled };
  }

  /** True when the end of the request was heard in the last seconds. */
  settledLately(id: RequestId, nowMs: number): boolean {
    const atMs = this.#settledAtMs.get(id);
    return atMs !== undefined && nowMs - atMs < settledMs;
  }

  /** Events of an attempt that has been superseded come late, and change nothing. */
  #progress(next: Assignment): void {
    const known = this.#assignments.get(next.id);
    if (known && known.attempt > next.attempt) return;
    if (this.settledLately(next.id, next.sinceMs)) return;
    this.#put({
      ...(known?.endpoint ? { endpoint: known.endpoint } : {}),
      ...(known?.guess ? { guess: known.guess } : {}),
      ...(known?.arm ? { arm: known.arm } : {}),
      ...(known?.expected && known.cluster === next.cluster ? { expected: known.expected } : {}),
      ...next,
    });
  }

  #put(assignment: Assignment): void {
    this.#drop(assignment.id);
    this.#assignments.set(assignment.id, assignment);
    if (holdsSlot(assignment)) this.#add(assignment.cluster, 1);
  }

  #drop(id: RequestId): void {
    const assignment = this.#assignments.get(id);
    if (!assignment) return;
    this.#assignments.delete(id);
    if (holdsSlot(assignment)) this.#add(assignment.cluster, -1);
  }

  #add(cluster: ClusterId, change: number): void {
    const load = this.load(cluster) + change;
    if (load === 0) this.#loads.delete(cluster);
    else this.#loads.set(cluster, load);
  }
}

/** A released job waits to be moved, or for its agent to come back; meanwhile its slot is free. */
const holdsSlot = ({ state }: Assignment): boolean => state !== 'released';
