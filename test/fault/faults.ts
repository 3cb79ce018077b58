import type { FaultKind, PartKind } from './history.ts';
import type { Random } from './random.ts';

/** What `--faults` may name; `nats` lets nats-servers be hit too. */
export const faultNames = ['kill', 'pause', 'partition', 'drain', 'nats'] as const;
export type FaultName = (typeof faultNames)[number];

/** What `--parts` may name: only these kinds of parts are hit. */
export const partNames = ['agent', 'llama', 'ingress', 'scheduler', 'nats'] as const satisfies PartKind[];

/** What may happen, and to whom. */
export type Asked = { readonly faults: ReadonlySet<FaultName>; readonly parts: ReadonlySet<PartKind> };

/** A part as the choice sees it. */
export type Target = { readonly name: string; readonly kind: PartKind };

export type Fault = {
  readonly what: FaultKind;
  readonly target: Target;
  readonly lastsMs: number;
  /** A partition either resets connections or swallows everything. */
  readonly silent: boolean;
};

/** How often each is drawn, among those that are asked for. Kills are what is counted; the others come on top. */
const whatWeights: readonly (readonly [FaultKind, number])[] = [
  ['kill', 12],
  ['pause', 2],
  ['partition', 2],
  ['drain', 2],
];

/** Which kinds of parts each fault can hit, and how often. */
const kindWeights: Readonly<Record<FaultKind, readonly (readonly [PartKind, number])[]>> = {
  kill: [
    ['agent', 4],
    ['llama', 3],
    ['ingress', 3],
    ['scheduler', 3],
    ['nats', 1],
  ],
  pause: [
    ['agent', 4],
    ['llama', 1],
    ['ingress', 2],
    ['scheduler', 2],
    ['nats', 1],
  ],
  partition: [
    ['agent', 4],
    ['ingress', 2],
    ['scheduler', 2],
  ],
  drain: [['agent', 1]],
};

/** How long each lasts, from and to, in ms. A killed part is started after this time; a drained one after it has ended. */
const lastsMs: Readonly<Record<FaultKind, readonly [number, number]>> = {
  kill: [0, 1_500],
  pause: [300, 5_000],
  partition: [300, 5_000],
  drain: [0, 1_000],
};

/** Parts of one sort that may be out at once; never all of them. An agent and its llama.cpp are one node. */
export function mayHit(target: Target, all: readonly Target[], out: ReadonlySet<string>): boolean {
  const isNode = ({ kind }: Target) => kind === 'agent' || kind === 'llama';
  const alike = (one: Target) => (isNode(target) ? isNode(one) : one.kind === target.kind);
  const nodeOf = ({ name }: Target) => name.replace(/^(agent|llama)-/, '');
  const outNow = new Set(all.filter((one) => alike(one) && out.has(one.name)).map(nodeOf));
  if (outNow.has(nodeOf(target))) return false;
  const alikeCount = new Set(all.filter(alike).map(nodeOf)).size;
  switch (target.kind) {
    case 'agent':
    case 'llama':
      return outNow.size < Math.max(1, alikeCount - 3);
    case 'ingress':
    case 'scheduler':
    case 'nats':
      return outNow.size === 0;
    default:
      return target.kind satisfies never;
  }
}

/** Pure. The next fault; undefined when everything that was drawn is out already. */
export function nextFault(
  random: Random,
  asked: Asked,
  all: readonly Target[],
  out: ReadonlySet<string>,
): Fault | undefined {
  const what = random.weighted(whatWeights.filter(([name]) => asked.faults.has(name)));
  if (what === undefined) return undefined;
  const kinds = kindWeights[what].filter(
    ([kind]) => asked.parts.has(kind) && (kind !== 'nats' || asked.faults.has('nats')),
  );
  const kind = random.weighted(kinds);
  const target = random.pick(all.filter((one) => one.kind === kind));
  const silent = random.chance(0.5);
  const [from, to] = lastsMs[what];
  const length = random.between(from, to);
  if (target === undefined || !mayHit(target, all, out)) return undefined;
  // A hub that stands still is a stop of everything; the others can do without one part for longer.
  return { what, target, lastsMs: kind === 'nats' ? Math.min(length, 1_000) : length, silent };
}
