import type { Submission } from '@drover/client';
import type { Outcome, Unit } from '@drover/schemas';
import type { History } from './history.ts';
import type { SimProcess } from './process.ts';
import type { Ask } from './scenario.ts';
import { idOf } from './scenario.ts';

/** A client of one request. It lives outside of all processes, and comes back when the ingress that served it dies. */
export class Client {
  readonly ask: Ask;
  readonly name: string;
  readonly units: Unit[] = [];
  /** Where its stream began: a client that comes later may have the units before. */
  readonly from: number;
  outcome: Outcome | undefined;
  /** It was told that its request is stored. */
  isAccepted = false;
  /** It stopped trying before it was accepted. */
  hasGivenUp = false;
  ingress: SimProcess | undefined;
  returns = 0;
  readonly #history: History;
  readonly #trace: ((line: string) => void) | undefined;

  constructor(
    ask: Ask,
    options: { name: string; from?: number; history: History; trace: ((line: string) => void) | undefined },
  ) {
    this.ask = ask;
    this.name = options.name;
    this.from = options.from ?? 0;
    this.#history = options.history;
    this.#trace = options.trace;
  }

  get isDone(): boolean {
    return this.outcome !== undefined || this.hasGivenUp;
  }

  /** The next unit that it needs. */
  get next(): number {
    return this.from + this.units.length;
  }

  /** Reads a submission to its end. What an ingress says after it was left is not heard. */
  async read(submission: Submission, ingress: SimProcess): Promise<void> {
    this.ingress = ingress;
    this.isAccepted = true;
    for await (const event of submission.events) {
      if (this.ingress !== ingress) return;
      this.#trace?.(`${this.name} hears ${describe(event)}`);
      if (this.outcome)
        this.#history.violated('exactly-one-outcome', `${this.name}: ${event.kind} after the end`);
      if (event.kind === 'units') this.#take(event.at, event.units);
      if (event.kind === 'end') this.outcome = event.outcome;
    }
    if (!this.outcome && this.ingress === ingress)
      this.#history.violated('exactly-one-outcome', `${this.name}: the stream ended without an outcome`);
  }

  #take(at: number, units: readonly Unit[]): void {
    if (at !== this.next)
      this.#history.violated(
        'every-token-once-in-order',
        `${this.name} of ${idOf(this.ask)} got unit ${at} and expected ${this.next}`,
      );
    this.units.push(...units);
  }
}

type Heard = Submission['events'] extends AsyncIterable<infer E> ? E : never;

function describe(event: Heard): string {
  switch (event.kind) {
    case 'open':
      return `open by ${event.open.cluster}, attempt ${event.open.attempt}`;
    case 'units':
      return `units ${event.at}…${event.at + event.units.length - 1}: ${event.units.map(contentOf).join('')}`;
    case 'waiting':
      return `a wait of ${event.etaMs} ms`;
    case 'end':
      return `end ${event.outcome.status}${event.outcome.status === 'failed' ? ` ${event.outcome.code}` : ''}`;
  }
}

/** The text of a unit. */
export function contentOf(unit: Unit): string {
  return unit.k === 'delta' ? JSON.stringify(unit.choices) : unit.k === 'token' ? `${unit.id} ` : unit.t;
}

/** The ids that a reply consists of, whatever its mode. */
export function idsOf(units: readonly Unit[]): number[] {
  return units.flatMap((unit) => {
    if (unit.k === 'token') return [unit.id];
    return [...contentOf(unit).matchAll(/t(\d+) /g)].map((match) => Number(match[1]));
  });
}
