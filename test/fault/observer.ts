import type { Nats } from '@drover/runtime';
import { event, parseMessage, reply, requestIdOf, subjects, unitsIn } from '@drover/schemas';
import type { Opening } from './history.ts';

/**
 * Listens to what is said about every request, to know who owns it. It may miss something when a nats-server dies: it
 * only says who is hit by a fault, and judges nothing.
 */
export class Observer {
  readonly openings: Opening[] = [];
  /** Messages of owners that had been replaced by then. Readers ignore them. */
  staleReplies = 0;
  readonly #owners = new Map<string, string>();
  readonly #fences = new Map<string, number>();
  readonly #opened = new Map<string, number>();

  constructor(nats: Nats) {
    nats.nc.subscribe(subjects.event('*', '*', '*'), {
      callback: (error, message) => {
        if (error) return;
        const parsed = parseMessage(event, message.data);
        if (!parsed.ok) return;
        const id = requestIdOf(message.subject);
        if (parsed.value.state === 'running') this.#owners.set(id, parsed.value.agent);
        else this.#owners.delete(id);
      },
    });
    nats.nc.subscribe(subjects.reply('*', '*', '*'), {
      callback: (error, message) => {
        if (!error) this.#onReply(requestIdOf(message.subject), message.data);
      },
    });
  }

  /** The requests that this agent has claimed and not settled. */
  ownedBy(agent: string): string[] {
    return [...this.#owners].flatMap(([id, owner]) => (owner === agent ? [id] : []));
  }

  #onReply(id: string, data: Uint8Array): void {
    const parsed = parseMessage(reply, data);
    if (!parsed.ok) return;
    const said = parsed.value;
    const fence = this.#fences.get(id) ?? 0;
    if (said.f < fence && unitsIn(said) > 0) this.staleReplies++;
    if (said.f > fence) this.#fences.set(id, said.f);
    if (said.k !== 'open' || said.f <= (this.#opened.get(id) ?? 0)) return;
    this.#opened.set(id, said.f);
    this.openings.push({ id, atMs: Date.now(), fence: said.f, i: said.i, attempt: said.attempt });
  }
}
