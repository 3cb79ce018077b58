import { setTimeout as sleep } from 'node:timers/promises';
import type { Nats } from '@drover/runtime';
import type { Bed } from './bed.ts';
import type { ClientRecord } from './history.ts';
import { askOverHttp } from './http-client.ts';
import { askOverNats } from './nats-client.ts';
import type { RunOptions } from './options.ts';
import { Random } from './random.ts';
import { type Ask, fakeAnswer, nextAsk, realPrompts, recordOf } from './workload.ts';

const betweenAsksMs = 100;

export type CrowdOptions = {
  readonly bed: Bed;
  /** A producer's connection. */
  readonly nats: Nats;
  readonly options: RunOptions;
  /** The whole answer to a request. */
  readonly answerTo: (ask: Ask) => string;
};

/** The clients of a run: so many at once, each asking one request after the other, until `stop`. */
export class Crowd {
  readonly records: ClientRecord[] = [];
  readonly #given: CrowdOptions;
  readonly #random: Random;
  readonly #working: Promise<void>[];
  #asked = 0;
  #wanted = true;
  #giveUpAtMs = Number.POSITIVE_INFINITY;

  constructor(given: CrowdOptions) {
    this.#given = given;
    this.#random = new Random(given.options.seed);
    this.#working = Array.from({ length: given.options.concurrency }, () => this.#client());
  }

  /** Rejects when a client meets a bug; resolves when all have stopped. */
  get done(): Promise<unknown> {
    return Promise.all(this.#working);
  }

  /** Lets every request come to its end, for this long; what is open then has none. */
  async stop(withinMs: number): Promise<void> {
    this.#wanted = false;
    this.#giveUpAtMs = Date.now() + withinMs;
    await this.done;
  }

  async #client(): Promise<void> {
    const { seed, llama } = this.#given.options;
    while (this.#wanted) {
      await this.#ask(nextAsk(this.#random, `s${seed}`, this.#asked++, llama));
      await sleep(this.#random.between(0, 2 * betweenAsksMs));
    }
  }

  async #ask(ask: Ask): Promise<void> {
    const { bed, nats, answerTo } = this.#given;
    const record = recordOf(ask, answerTo(ask), Date.now());
    this.records.push(record);
    const giveUpAtMs = () => this.#giveUpAtMs;
    if (ask.kind === 'nats-stream') return askOverNats(nats, ask, record, giveUpAtMs);
    const ingresses = [...bed.ingressUrls];
    if (this.#random.chance(0.5)) ingresses.reverse();
    await askOverHttp({ ingresses, apiKey: bed.apiKey, giveUpAtMs }, ask, record);
  }
}

/** What is the whole answer: known of the fake model, learnt of the real one while nothing is hit. */
export async function answersOf(bed: Bed, { llama, seed }: RunOptions): Promise<(ask: Ask) => string> {
  if (llama === 'fake') return fakeAnswer;
  const answers = new Map<string, string>();
  const edges = { ingresses: [...bed.ingressUrls], apiKey: bed.apiKey, giveUpAtMs: () => Number.MAX_VALUE };
  for (const [n] of realPrompts.entries()) {
    const ask: Ask = { ...nextAsk(new Random(seed), `learn${seed}`, n, llama), ...calm };
    const record = recordOf(ask, '', Date.now());
    await askOverHttp(edges, ask, record);
    answers.set(ask.prompt, record.heard.map(({ t }) => t).join(''));
  }
  return ({ prompt }) => answers.get(prompt) ?? '';
}

const calm = { kind: 'http-stream', wish: 'complete', deadlineMs: 120_000 } as const;
