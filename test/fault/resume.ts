import type { ClientRecord, FaultKind, FaultRecord, History, Opening, PartKind } from './history.ts';

/** A stream that stood still because of a fault: from the fault to the next new unit at its client, in ms. */
export type Resumed = {
  readonly what: FaultKind;
  readonly kind: PartKind;
  readonly id: string;
  /** When the fault came; wall clock, ms. */
  readonly atMs: number;
  readonly ms: number;
  /** The same from the moment when the part was back; 0 for a stream that did not need it. */
  readonly sinceBackMs: number;
  /** How long the end was missing when its client had all units: since the last one, or the fault, if that came later. */
  readonly endMs: number | undefined;
  /** Another fault hit the same stream before it went on: this time is not of one fault. */
  readonly compound: boolean;
};

/** Units that were on their way when the fault came may still arrive this much later. */
const onTheirWayMs = 100;
/** The observer may hear of a new owner a little later than the client. */
const clockSlackMs = 5;

/** Pure. How long every victim of every fault waited. Victims that had all they wanted are left out. */
export function resumes({ clients, faults, openings }: Omit<History, 'evidence'>): Resumed[] {
  const clientOf = new Map(clients.map((client) => [client.id, client]));
  const openingsOf = Map.groupBy(openings, ({ id }) => id);
  const hits = Map.groupBy(
    faults.flatMap((fault) => fault.victims.map(({ id }) => ({ id, atMs: fault.atMs }))),
    ({ id }) => id,
  );
  return faults.flatMap((fault) =>
    fault.victims.flatMap(({ id, units }) => {
      const client = clientOf.get(id);
      if (client === undefined || client.kind === 'http-whole') return [];
      const atMs = resumedAtMs(fault, client, units, openingsOf.get(id) ?? []);
      if (atMs === undefined) return [];
      const compound = (hits.get(id) ?? []).some((hit) => hit.atMs > fault.atMs && hit.atMs < atMs);
      return [
        {
          what: fault.what,
          kind: fault.kind,
          id,
          atMs: fault.atMs,
          ms: atMs - fault.atMs,
          sinceBackMs: Math.max(0, atMs - (fault.backAtMs ?? fault.atMs)),
          endMs: endMs(client, fault.atMs),
          compound,
        },
      ];
    }),
  );
}

function endMs({ heard, end }: ClientRecord, faultAtMs: number): number | undefined {
  if (end?.status !== 'done') return undefined;
  return end.atMs - Math.max(faultAtMs, heard.at(-1)?.atMs ?? faultAtMs);
}

function resumedAtMs(
  fault: FaultRecord,
  client: ClientRecord,
  units: number,
  openings: readonly Opening[],
): number | undefined {
  switch (fault.kind) {
    // The next owner's first unit.
    case 'agent':
    case 'llama': {
      const next = openings.find(({ atMs }) => atMs > fault.atMs);
      return (
        next && client.heard.find(({ at, atMs }) => at >= next.i && atMs >= next.atMs - clockSlackMs)?.atMs
      );
    }
    // The first new unit over the next connection.
    case 'ingress': {
      const next = client.attachments.find(({ atMs }) => atMs > fault.atMs);
      return next && client.heard.find(({ at, atMs }) => at >= next.from && atMs >= next.atMs)?.atMs;
    }
    case 'scheduler':
    case 'nats':
      return endOfPause(client, fault.atMs, units);
    default:
      return fault.kind satisfies never;
  }
}

/** The end of the longest pause that began before the fault could have been felt. */
function endOfPause({ heard, sentAtMs }: ClientRecord, faultAtMs: number, units: number): number | undefined {
  let beforeMs = heard[units - 1]?.atMs ?? sentAtMs;
  let longest: { readonly ms: number; readonly endMs: number } | undefined;
  for (const { atMs } of heard.slice(units)) {
    if (beforeMs > faultAtMs + onTheirWayMs) break;
    if (longest === undefined || atMs - beforeMs > longest.ms) longest = { ms: atMs - beforeMs, endMs: atMs };
    beforeMs = atMs;
  }
  return longest?.endMs;
}

/** The value below which the fraction `p` lies (nearest rank); undefined of nothing. */
export function percentile(values: readonly number[], p: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)];
}
