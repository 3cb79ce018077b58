import { TimeoutError } from 'nats';
import type { SimProcess } from '../process.ts';
import type { Hub } from './hub.ts';
import { refusal } from './library.ts';
import type { MessageFlow } from './message-flow.ts';
import type { StreamModel } from './stream.ts';

/** How long the client library waits for an answer of JetStream, in ms. */
export const timeoutMs = 2_000;
/** A fetch ends after two missed heartbeats of a second. */
const silenceMs = 2_000;

export type Answer<T> = (result: T | Error) => void;

/** What one process asks of the hub over its link, and hears in answer. */
export class Line {
  readonly hub: Hub;
  readonly process: SimProcess;
  /** Renews what stood at the hub, a moment after the connection is back. */
  readonly renewals = new Set<() => void>();

  constructor(hub: Hub, process: SimProcess) {
    this.hub = hub;
    this.process = process;
  }

  toHub(arrive: () => void): void {
    this.process.link.toHub(arrive);
  }

  renew(): void {
    const { clock, random } = this.hub;
    for (const renew of this.renewals)
      clock.schedule(random.between(0, silenceMs), this.process, renew, true);
  }

  /** Asks the hub; what it answers to a connection that is gone is lost. */
  request<T>(withinMs: number, ask: (answer: Answer<T>) => void): Promise<T> {
    const { link } = this.process;
    const { generation } = link;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const timer = setTimeout(() => reject(new TimeoutError()), withinMs);
    this.toHub(() =>
      ask((result) => {
        if (link.generation !== generation) return;
        link.toProcess(() => {
          clearTimeout(timer);
          if (result instanceof Error) reject(result);
          else resolve(result);
        });
      }),
    );
    return promise;
  }

  /** Asks about a stream; nobody answers while it is away. */
  askStream<T>(
    name: string,
    ask: (stream: StreamModel, answer: Answer<T>) => void,
    withinMs = timeoutMs,
  ): Promise<T> {
    return this.request<T>(withinMs, (answer) => {
      if (this.hub.isAway(name)) return;
      const stream = this.hub.streams.get(name);
      if (stream) ask(stream, answer);
      else answer(refusal({ code: 10_059, description: 'stream not found' }));
    });
  }

  /** Without a connection no heartbeat comes; a fetch that the hub forgot ends like one. */
  endWhenSilent<T>(flow: MessageFlow<T>, expiresMs: number): void {
    const { link } = this.process;
    const { clock } = this.hub;
    const { generation } = link;
    const isCut = () => !link.isUp || link.isStalled || link.generation !== generation;
    const watch = () =>
      void clock.schedule(
        silenceMs,
        this.process,
        () => {
          if (isCut()) flow.end(new Error('heartbeats missed'));
        },
        true,
      );
    if (isCut()) watch();
    link.listeners.broken.add(watch);
    link.listeners.silent.add(watch);
    const timer = setTimeout(() => flow.end(), expiresMs + silenceMs);
    flow.onEnd(() => {
      clearTimeout(timer);
      link.listeners.broken.delete(watch);
      link.listeners.silent.delete(watch);
    });
  }
}
