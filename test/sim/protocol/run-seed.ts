import { streams, wakeTtlMs } from '@drover/schemas';
import { nuid } from 'nats';
import { idsOf } from './client.ts';
import { outsideMicrotasks } from './clock.ts';
import type { Violation } from './history.ts';
import { type Fault, idOf, type Scenario, scenarioOf } from './scenario.ts';
import { type Trace, World } from './world.ts';

/** After the last fault everything must end within this much virtual time. */
export const patienceMs = 60_000;
/** A node that a deposed leader wanted where its successor wants none is there until its message runs out. */
const scalingPatienceMs = wakeTtlMs + 15_000;

export type RunOptions = {
  readonly withoutGuards?: readonly string[];
  readonly forgetful?: readonly string[];
  readonly trace?: Trace;
  /** Changes the scenario that the seed gives. */
  readonly change?: (scenario: Scenario) => Scenario;
};

export type RunResult = {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly virtualMs: number;
  readonly events: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly counts: Readonly<Record<string, number>>;
};

// It takes random numbers when it is used first: that must not be during a run.
nuid.next();

/** Runs one seed to its end. The same seed gives the same run. */
export const runSeed = (seed: number, options: RunOptions = {}): Promise<RunResult> =>
  outsideMicrotasks(() => simulate(seed, options));

function simulate(seed: number, options: RunOptions): RunResult {
  const given = scenarioOf(seed);
  const scenario = options.change?.(given) ?? given;
  const world = new World(scenario, options);
  using _installed = world.clock.install(world.random.next);
  world.start();
  plan(world);
  const lastMs = Math.max(
    ...scenario.asks.map((ask) => ask.atMs + (ask.againAfterMs ?? 0) + deadlineOf(ask.deadlineMs)),
    ...scenario.faults.map(({ atMs, forMs }) => atMs + forMs),
  );
  let checkedMs = 0;
  world.clock.run(lastMs + (scenario.scales ? scalingPatienceMs : patienceMs), () => {
    // Looking after every event would be most of the work.
    if (world.clock.nowMs < checkedMs) return world.history.violations.length > 0;
    checkedMs = world.clock.nowMs + 50;
    return (
      world.history.violations.length > 0 || (world.clock.nowMs > settledFromMs(scenario) && isSettled(world))
    );
  });
  if (world.history.violations.length === 0) check(world);
  return resultOf(world);
}

/** A short deadline is one of the things to wait for; a long one must not be what ends a request. */
const deadlineOf = (deadlineMs: number): number => (hasShortDeadline(deadlineMs) ? deadlineMs : 0);
const hasShortDeadline = (deadlineMs: number): boolean => deadlineMs < 60_000;

const settledFromMs = ({ asks, faults, scales }: Scenario): number =>
  Math.max(
    ...asks.map((ask) => ask.atMs + (ask.againAfterMs ?? 0)),
    // Who comes back says something at once, and its successor a second later.
    ...(scales ? faults.map(({ atMs, forMs }) => atMs + forMs + 1_500) : []),
  ) + 10;

function plan(world: World): void {
  const { clock, scenario } = world;
  for (const ask of scenario.asks) {
    clock.schedule(ask.atMs, undefined, () => world.submit(ask, `client-${ask.number}`));
    if (ask.againAfterMs !== undefined)
      clock.schedule(ask.atMs + ask.againAfterMs, undefined, () =>
        world.submit(ask, `client-${ask.number}-again`),
      );
  }
  for (const fault of scenario.faults) clock.schedule(fault.atMs, undefined, () => begin(world, fault));
}

function begin(world: World, { kind, role, index, forMs, streams: chosen }: Fault): void {
  const { clock, hub, random } = world;
  const process = world.process(role, index);
  const later = (run: () => void) => void clock.schedule(forMs, undefined, run);
  world.trace?.(`fault: ${kind} ${process?.name ?? ''} for ${forMs.toFixed(0)} ms`);
  switch (kind) {
    case 'kill':
      if (!process) return;
      world.kill(process);
      later(() => world.restart(process));
      break;
    case 'pause':
      process?.pause();
      later(() => process?.resume(random.chance(0.5)));
      break;
    case 'cut':
      process?.link.break();
      // The client library tries again every 250 to 500 ms.
      later(() => clock.schedule(random.between(0, 500), undefined, () => revive(process)));
      break;
    case 'stall':
      process?.link.stall();
      later(() => process?.link.flow());
      break;
    case 'drain':
      if (process) world.drain(process, () => later(() => world.restart(process)));
      break;
    case 'backend-crash': {
      const llama = process && world.llamaOf(process);
      llama?.crash();
      later(() => llama?.start());
      break;
    }
    case 'election': {
      const names = [...hub.streams.keys()];
      hub.elect(chosen ?? (random.chance(0.3) ? names : [random.pick(names)]), forMs);
      break;
    }
    case 'hub-restart': {
      const links = world.links;
      hub.restart(links);
      later(() => {
        for (const link of world.links)
          clock.schedule(random.between(0, 500), undefined, () => {
            if (!link.isUp) link.mend();
          });
      });
      break;
    }
  }
}

function revive(process: ReturnType<World['process']>): void {
  if (process && process.state !== 'dead') process.link.mend();
}

/** Nothing is left to do: every request has its end, every client knows it, and the queues are empty. */
function isSettled(world: World): boolean {
  const { history, clients, hub } = world;
  if (clients.some((client) => !client.isDone)) return false;
  for (const log of history.logs.values()) {
    if (log.accepted && !log.ended) return false;
    if (log.ended && !log.settled && world.scenario.settles) return false;
  }
  if (world.scenario.scales && !world.wakesAreSettled) return false;
  return queuesOf(world).every((name) => hub.streams.get(name)?.messages.length === 0);
}

function check(world: World): void {
  checkLiveness(world);
  checkReaders(world);
  checkDeadLetters(world);
  checkDuties(world);
  for (const { busiest, options } of world.llamas)
    if (busiest > options.slots)
      world.history.violated(
        'no-assignment-beyond-slots',
        `a backend of ${options.slots} slots got ${busiest} replies to say at once`,
      );
}

/** The work queues that have to be empty at the end. */
const queuesOf = ({ scenario }: World): string[] => [
  streams.requests.name,
  streams.jobs.name,
  ...(scenario.settles ? [streams.settlement.name] : []),
];

function checkLiveness(world: World): void {
  const { history, clients, hub } = world;
  for (const [id, log] of history.logs)
    if (log.accepted && !log.ended) history.violated('nothing-waits-forever', `${id} has no outcome`);
  for (const client of clients)
    if (!client.isDone)
      history.violated('nothing-waits-forever', `${client.name} waits, with ${client.next} units`);
  for (const name of queuesOf(world))
    for (const message of hub.streams.get(name)?.messages ?? [])
      history.violated('nothing-waits-forever', `${message.subject} stays in ${name}`);
}

function checkReaders(world: World): void {
  const { history, llamas, scenario } = world;
  // What was said while LLM_REPLIES was away is stored nowhere.
  const lostMemory = scenario.faults.some(({ kind }) => kind === 'hub-restart' || kind === 'election');
  for (const client of world.clients) {
    const { ask, outcome, name } = client;
    if (!outcome) continue;
    const log = history.log(idOf(ask));
    const committed = log.ended?.outcome;
    const word = (one: typeof outcome) => (one.status === 'failed' ? one.code : one.status);
    const told = word(outcome);
    if (committed && told !== word(committed)) {
      const own =
        (told === 'continuation_impossible' && (ask.sampled || lostMemory)) ||
        ((told === 'result_lost' || told === 'gone') && lostMemory) ||
        // Cut off at its deadline, a reader tells its client so, and cannot know what is being committed.
        (told === 'deadline_exceeded' && hasShortDeadline(ask.deadlineMs) && scenario.faults.length > 0);
      if (!own)
        history.violated('exactly-one-outcome', `${name} was told ${told}, the log says ${word(committed)}`);
    }
    const heard = idsOf(client.units);
    const spoken = llamas
      .flatMap(({ generations }) => generations)
      .filter(({ request }) => request === ask.number);
    const isPrefix = (of: readonly number[]) => heard.every((id, index) => of[client.from + index] === id);
    if (!spoken.some(({ prior, said }) => isPrefix([...prior, ...said])) && heard.length > 0)
      history.violated(
        'stale-owner-is-never-heard',
        `${name} heard ${heard.join(' ')}, which no single reply says`,
      );
    if (outcome.status !== 'done') continue;
    // An owner that takes over at the token limit says nothing more itself.
    const atLimit = client.from + heard.length === ask.limit;
    const whole = spoken.some(({ by, prior, said }) => {
      const all = [...prior, ...said].slice(0, ask.limit);
      return (by === log.ended?.by || atLimit) && isPrefix(all) && all.length === client.from + heard.length;
    });
    if (!whole)
      history.violated(
        'every-token-once-in-order',
        `${name} heard ${heard.join(' ')}, which is not what ${log.ended?.by?.name} said`,
      );
  }
}

function checkDuties(world: World): void {
  const { history, scenario } = world;
  for (const [id, { ended, settled }] of history.logs)
    if (scenario.settles && ended && !settled)
      history.violated('settled-exactly-once', `${id} has ended and has no record`);
  if (scenario.scales && !world.wakesAreSettled)
    history.violated(
      'wakes-say-what-the-leader-wants',
      `the leader is ${history.leadership.leader?.process?.name ?? 'nobody'}, and LLM_WAKE says something else`,
    );
}

function checkDeadLetters({ history }: World): void {
  for (const [id, { ended, deadLetter }] of history.logs) {
    const outcome = ended?.outcome;
    if (outcome?.status === 'failed' && outcome.code === 'attempts_exhausted' && !deadLetter)
      history.violated('dead-letter-after-max-attempts', `${id} was given up without a dead letter`);
  }
}

function resultOf({ history, clients, clock, scenario }: World): RunResult {
  const outcomes: Record<string, number> = {};
  for (const { ended } of history.logs.values()) {
    if (!ended) continue;
    const { outcome } = ended;
    const word = outcome.status === 'failed' ? outcome.code : outcome.status;
    outcomes[word] = (outcomes[word] ?? 0) + 1;
  }
  let runs = 0;
  for (const log of history.logs.values()) runs += log.runs;
  return {
    seed: scenario.seed,
    violations: history.violations,
    virtualMs: clock.nowMs,
    events: clock.eventsRun,
    outcomes,
    counts: {
      requests: history.logs.size,
      assignments: history.assignments,
      runs,
      settled: [...history.logs.values()].filter(({ settled }) => settled).length,
      leaders: history.leadership.claims,
      lateWrites: history.leadership.lateWrites,
      returns: clients.reduce((sum, { returns }) => sum + returns, 0),
    },
  };
}
