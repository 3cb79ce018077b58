import { EventLog, type Logger, type Nats } from '@drover/runtime';
import {
  type AgentId,
  type Cancel,
  type ClusterId,
  clusterId,
  type DecisionRecord,
  natsHeaders,
  priorities,
  type RequestId,
  requestConsumer,
  type TenantId,
  writers,
} from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';
import { assign } from './carry-out/assign.ts';
import { bury } from './carry-out/bury.ts';
import { cancel } from './carry-out/cancel.ts';
import { expire, refuse } from './carry-out/end.ts';
import type { Parts } from './carry-out/parts.ts';
import { Recaller } from './carry-out/recall.ts';
import { Underway } from './carry-out/underway.ts';
import { withDeparture } from './core/fleet.ts';
import { type Incoming, type Intake, takeIn } from './core/intake.ts';
import { recalls } from './core/recall.ts';
import { observeFleet } from './fleet-metrics.ts';
import type { SchedulerMetrics } from './metrics.ts';
import { Decisions } from './nats/decisions.ts';
import type { HeardEvent } from './nats/events.ts';
import { HeldMessages } from './nats/held-messages.ts';
import { Reconciler } from './nats/reconcile.ts';
import { publishWait } from './nats/waits.ts';
import { Planner } from './planner.ts';
import { State } from './state.ts';
import { countArmEnded } from './trial-metrics.ts';

/** Deadlines and the reasons to move a job are looked at this often; everything else happens when it is heard. */
const tickMs = 100;
const secondMs = 1_000;
/** An agent whose connection has ended may come back over another; one that runs something then reports within this time. */
const comeBackMs = 300;
/** After JetStream did not answer, planning rests for this long. */
const restMs = 500;
/** Waiting requests that hear each second how long it will last: the others hear nothing, which is no promise broken. */
const comfortMax = 100;
/** Held messages are extended well before their ack wait ends. */
const keepMs = requestConsumer('standard').ackWaitMs / 3;

export type SchedulerParts = {
  readonly nats: Nats;
  readonly log: Logger;
  readonly metrics: SchedulerMetrics;
  readonly schedulerId: string;
  readonly random: () => number;
};

/**
 * The one owner of the state. What it hears changes the state and wakes it; one planning pass then looks at everything
 * that waits. It decides nothing itself (core/) and waits for nothing (carry-out/).
 */
export class Scheduler {
  readonly state = new State();
  readonly decisions: Decisions;
  readonly #parts: Parts;
  readonly #held = new HeldMessages();
  readonly #planner: Planner;
  readonly #recaller: Recaller;
  readonly #reconciler: Reconciler;
  readonly #timers: NodeJS.Timeout[] = [];
  #awake = false;
  #stopped = false;
  #restUntilMs = 0;
  /** Until then the silence of agents may be our own. */
  #deafUntilMs = 0;

  constructor({ nats, log, metrics, schedulerId, random }: SchedulerParts) {
    this.decisions = new Decisions(nats, schedulerId);
    const parts: Parts = {
      nats,
      log,
      metrics,
      state: this.state,
      held: this.#held,
      decisions: this.decisions,
      underway: new Underway(log),
      onTrouble: () => {
        this.#restUntilMs = Date.now() + restMs;
      },
      wake: () => this.wake(),
    };
    this.#parts = parts;
    this.#planner = new Planner(
      this.state,
      {
        assign: (waiting, decision, nowMs) => assign(parts, waiting, decision, nowMs),
        refuse: (waiting, decision, nowMs) => refuse(parts, waiting, decision, decision.considered, nowMs),
      },
      { random, onDecided: (seconds) => metrics.decisionSeconds.observe(seconds) },
    );
    this.#recaller = new Recaller(parts);
    this.#reconciler = new Reconciler(nats, this.state.ledger, log);
  }

  /** Starts the clockwork. From now on what is heard is acted upon. */
  start(): void {
    this.onConnected();
    this.#timers.push(
      setInterval(() => this.#tick(), tickMs),
      setInterval(() => this.#everySecond(), secondMs),
      setInterval(() => this.#held.keep(), keepMs),
    );
  }

  /** Gives back what waits and finishes what was begun. Requests must have stopped coming. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#parts.underway.settled();
    this.#held.nakAll();
  }

  /** Plans soon, once for all that is heard in one go. */
  wake(): void {
    if (this.#awake || this.#stopped) return;
    this.#awake = true;
    queueMicrotask(() => {
      this.#awake = false;
      const nowMs = Date.now();
      if (!this.#stopped && this.#mayAct(nowMs)) this.#planner.pass(nowMs);
    });
  }

  /**
   * After each connect: agents have to be heard again before their silence means anything. They look for the hub twice a
   * second, and report as soon as they have it.
   */
  onConnected(): void {
    this.#deafUntilMs = Date.now() + Math.min(this.state.policy.value.reportStaleMs, secondMs) + secondMs;
    this.wake();
  }

  // Receive

  onRequest(message: JsMsg): void {
    const nowMs = Date.now();
    if (message.redelivered) this.#parts.metrics.redeliveries.inc();
    const intake = takeIn(incomingOf(message), this.state.catalogue, nowMs);
    if (intake.kind === 'invalid') bury(this.#parts, message, intake.problem);
    else if (this.#isNew(intake.waiting.id, message, nowMs)) this.#accept(intake, nowMs);
  }

  /** Holds the message. False when its request is known already: then only its latest delivery counts. */
  #isNew(id: RequestId, message: JsMsg, nowMs: number): boolean {
    const isHeld = this.#held.has(id);
    this.#held.add(id, message);
    if (isHeld) return false;
    const isTaken = this.state.ledger.get(id) !== undefined || this.state.ledger.settledLately(id, nowMs);
    // The acknowledgement was lost.
    if (isTaken) this.#held.ack(id);
    return !isTaken;
  }

  #accept(intake: Exclude<Intake, { kind: 'invalid' }>, nowMs: number): void {
    const { waiting } = intake;
    this.#parts.metrics.accepted.inc({ band: waiting.request.priority });
    if (intake.kind === 'refused') {
      refuse(this.#parts, waiting, intake, [], nowMs);
      return;
    }
    this.state.queue.add(waiting);
    this.#planner.screen(waiting, nowMs);
    this.wake();
  }

  onEvent({ writer, tenant, id, event }: HeardEvent): void {
    const nowMs = Date.now();
    const { ledger, queue } = this.state;
    const cluster = clusterOfWriter(writer);
    if (!cluster) {
      if (queue.get(id) || ledger.get(id)) this.#parts.underway.run(() => this.#confirmEnd(tenant, id));
    } else if (event.state === 'ended') {
      queue.remove(id);
      this.#held.ack(id);
      const assignment = ledger.ended(id, nowMs);
      countArmEnded(this.#parts.metrics, assignment?.arm, event);
      this.state.learnFrom(event.outcome, cluster, assignment, nowMs);
    } else {
      const claim = { id, tenant, cluster, attempt: event.attempt, sinceMs: nowMs };
      queue.remove(id);
      this.#held.ack(id);
      if (event.state === 'running') ledger.running(claim);
      else ledger.released(claim);
      if (event.state === 'released' && event.reason === 'backend-failed')
        this.state.observe(cluster, false, nowMs);
      if (event.state === 'released') this.#recall(nowMs);
    }
    this.wake();
  }

  /**
   * A publish is heard by everybody, also when LLM_EVENTS refused it or was not there. Behind what an agent says stands a
   * job, which is kept until its outcome is stored; what others end may have nothing else but its place in the queue.
   */
  async #confirmEnd(tenant: TenantId, id: RequestId): Promise<void> {
    const last = await new EventLog(this.#parts.nats, tenant, id).last();
    if (last?.event.state !== 'ended') return;
    this.state.queue.remove(id);
    this.#held.ack(id);
    this.state.ledger.ended(id, Date.now());
    this.wake();
  }

  /** Another scheduler's decision: its assignments count as ours, and what it took does not wait here. */
  onDecision(record: DecisionRecord): void {
    if (record.kind !== 'assign' || record.chosen === undefined) return;
    const nowMs = Date.now();
    const adopted = this.state.ledger.adopt(
      {
        id: record.request,
        tenant: record.tenant,
        cluster: record.chosen,
        attempt: record.attempt,
        state: 'assigned',
        sinceMs: nowMs,
      },
      nowMs,
    );
    if (!adopted) return;
    this.state.queue.remove(record.request);
    this.#held.ack(record.request);
  }

  /** A nats-server says that the connection of an agent has ended. Its jobs move unless it is heard again very soon. */
  onGone(cluster: ClusterId, agent: AgentId): void {
    const departedAtMs = Date.now();
    setTimeout(() => {
      if (this.#stopped) return;
      const nowMs = Date.now();
      this.state.fleet = withDeparture(this.state.fleet, cluster, agent, departedAtMs, nowMs);
      this.#recall(nowMs);
      this.wake();
    }, comeBackMs).unref();
  }

  onCancel({ tenant, id }: Cancel): void {
    cancel(this.#parts, tenant, id);
  }

  // The clock

  #tick(): void {
    const nowMs = Date.now();
    this.state.turn(nowMs);
    if (!this.#mayAct(nowMs)) return;
    for (const waiting of this.state.queue.expired(nowMs))
      expire(this.#parts, waiting, this.#planner.consider(waiting, nowMs), nowMs);
    this.#recall(nowMs);
    this.wake();
  }

  #everySecond(): void {
    const nowMs = Date.now();
    for (const band of priorities)
      this.#parts.metrics.queueDepth.set({ band }, this.state.queue.sizeOf(band));
    this.state.payNodes(nowMs);
    observeFleet(this.#parts.metrics, this.state, nowMs);
    this.#comfort(nowMs);
    if (!this.#mayAct(nowMs)) return;
    this.state.forgetGoneAgents(nowMs);
    if (nowMs >= this.#deafUntilMs) this.state.noteSilences(nowMs);
    void this.#reconciler.run().then(() => this.wake());
  }

  /** Tells those who have waited for more than a moment that they do, and for how long still. */
  #comfort(nowMs: number): void {
    let told = 0;
    for (const waiting of this.state.queue.all()) {
      if (nowMs - waiting.arrivedAtMs < secondMs) continue;
      if (told++ === comfortMax) return;
      publishWait(this.#parts.nats, waiting.request, this.#planner.outlookMs(waiting, nowMs));
    }
  }

  /** Finds jobs that should leave their cluster, and stops moving those that need not any more. */
  #recall(nowMs: number): void {
    const { ledger, queue, fleet, policy } = this.state;
    const views = new Map<ClusterId, ReturnType<State['view']>>();
    const viewOf = (cluster: ClusterId) => {
      const view = views.get(cluster) ?? this.state.view(cluster, nowMs);
      views.set(cluster, view);
      return view;
    };
    const found = recalls(
      ledger.all(),
      fleet,
      viewOf,
      (cluster) => ledger.load(cluster),
      policy.value.bufferSlots,
      nowMs,
    );
    const deaf = nowMs < this.#deafUntilMs;
    const due = new Set<RequestId>();
    for (const recall of found) {
      due.add(recall.assignment.id);
      if (!deaf || recall.reason === 'released' || recall.reason === 'gone') this.#recaller.recall(recall);
    }
    for (const { id } of queue.moving()) if (!due.has(id)) queue.remove(id);
  }

  #mayAct(nowMs: number): boolean {
    return this.#parts.nats.connected() && nowMs >= this.#restUntilMs;
  }
}

const clusterOfWriter = (writer: string): ClusterId | undefined => {
  if (Object.hasOwn(writers, writer)) return undefined;
  const cluster = clusterId.safeParse(writer);
  return cluster.success ? cluster.data : undefined;
};

function incomingOf(message: JsMsg): Incoming {
  const traceparent = message.headers?.get(natsHeaders.traceparent);
  return {
    subject: message.subject,
    data: message.data,
    storedAtMs: message.time.getTime(),
    ...(traceparent ? { traceparent } : {}),
  };
}
