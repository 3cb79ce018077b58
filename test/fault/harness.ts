import { type Part, startBed } from './bed.ts';
import { check, type Violation } from './check.ts';
import { answersOf, Crowd } from './crowd.ts';
import { readEvidence } from './evidence.ts';
import type { ClientRecord, FaultRecord, History, Victim } from './history.ts';
import { Injector } from './injector.ts';
import { Meters } from './meters.ts';
import { Observer } from './observer.ts';
import type { RunOptions } from './options.ts';
import { Random } from './random.ts';

export type Result = {
  readonly history: History;
  readonly violations: readonly Violation[];
  /** Messages of replaced owners that the wire still carried, and commits and claims of such that were refused. */
  readonly stale: { readonly replies: number; readonly commits: number };
  /** Parts that ended without being told to. */
  readonly crashes: Injector['crashes'];
  readonly seconds: number;
};

export type Surroundings = {
  /** Everything that the run writes goes here. */
  readonly folder: string;
  /** Aborts the faults: what is open still comes to its end, and is judged. */
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
};

/** A real model computes; the fake one only waits. */
const fleets = {
  fake: { fleet: { aws: 2, gcp: 1, azure: 2 }, slots: 4 },
  real: { fleet: { aws: 1, gcp: 1, azure: 1 }, slots: 1 },
} as const;
/** After the last fault everybody gets this long to come to an end, and then the queues. */
const settleMs = 60_000;
const queuesMs = 30_000;

/**
 * Runs clients against a whole system while its parts are hit, and judges what came of it.
 * @throws when a part does not come back, or on a bug of the harness; everything is ended then too
 */
export async function runFaults(options: RunOptions, { folder, signal, say }: Surroundings): Promise<Result> {
  await using bed = await startBed({ ...options, ...fleets[options.llama], folder });
  await using connections = new AsyncDisposableStack();
  const [admin, producer] = [await bed.connect('admin'), await bed.connect('producer')];
  for (const { nc } of [admin, producer]) connections.defer(() => nc.close());
  const observer = new Observer(admin);
  const answerTo = await answersOf(bed, options);
  const startedMs = performance.now();
  using meters = new Meters(bed.agentMetricsUrls);
  const crowd = new Crowd({ bed, nats: producer, options, answerTo });
  const injector = new Injector({
    parts: bed.parts,
    random: new Random(options.seed + 1),
    asked: options,
    victims: (part) => victimsOf(part, crowd.records, observer),
    onFault: (fault) => say(describe(fault)),
  });
  let patient = false;
  try {
    await Promise.race([injector.run(options.kills, options.everyMs, signal), crowd.done]);
    patient = true;
  } finally {
    await crowd.stop(patient ? settleMs : 0);
  }
  const evidence = await readEvidence(admin, patient ? queuesMs : 0);
  const { faults, crashes } = injector;
  const history: History = { clients: crowd.records, faults, openings: observer.openings, evidence };
  return {
    history,
    violations: check(history),
    stale: { replies: observer.staleReplies, commits: await meters.total() },
    crashes,
    seconds: (performance.now() - startedMs) / 1_000,
  };
}

/** The open requests that a part serves: its own where it has some, all of them where it serves all. */
function victimsOf(part: Part, clients: readonly ClientRecord[], observer: Observer): Victim[] {
  const open = clients.filter(({ end }) => end === undefined);
  const hit = (records: readonly ClientRecord[]): Victim[] =>
    records.map(({ id, heard }) => ({ id, units: heard.length }));
  switch (part.kind) {
    case 'agent':
    case 'llama': {
      const owned = new Set(observer.ownedBy(part.name.replace(/^llama-/, 'agent-')));
      return hit(open.filter(({ id }) => owned.has(id)));
    }
    case 'ingress':
      return hit(open.filter((client) => isAttached(client, part.name)));
    case 'scheduler':
    case 'nats':
      return hit(open.filter(({ acceptedAtMs }) => acceptedAtMs !== undefined));
    default:
      return part.kind satisfies never;
  }
}

function isAttached({ attachments, acceptedAtMs }: ClientRecord, ingress: string): boolean {
  const last = attachments.at(-1);
  return acceptedAtMs !== undefined && last?.via === ingress && last.closed === undefined;
}

const describe = ({ what, part, lastsMs, victims }: FaultRecord): string =>
  `${what} ${part} for ${lastsMs} ms, ${victims.length} requests hit`;
