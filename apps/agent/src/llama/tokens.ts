import type { Unit } from '@drover/schemas';
import type { z } from 'zod';
import { type Finished, finishOf, type LastChunk } from '../core/finish.ts';
import { refusalOf } from '../core/refusal.ts';
import { type Need, noTokens, resolveText, resolveTokens, takeChunk, takeEnd } from '../core/units.ts';
import { completionEvent, detokenizeAnswer, tokenizeAnswer } from './answers.ts';
import { BackendError } from './backend-error.ts';
import type { Generation } from './generate.ts';
import type { LlamaHttp } from './http.ts';
import { jsonOf } from './json.ts';

/** What reading a stream needs of a connection. */
export type LlamaStream = Pick<LlamaHttp, 'stream' | 'post'>;

type CompletionEvent = z.infer<typeof completionEvent>;

/** Streams `/completion` as token units. @throws as `generate` */
export async function readTokens(
  http: LlamaStream,
  body: Readonly<Record<string, unknown>>,
  generation: Generation,
): Promise<Finished> {
  const reader = new TokenReader(http, generation);
  await http.stream('/completion', body, generation.signal, (events) => reader.take(events.map(parseEvent)));
  const last = await reader.finished();
  return finishOf(last, generation.prior.length);
}

/**
 * Turns chunks into units, in order. Almost always at once; where llama.cpp has to be asked for ids that it did not
 * send, later chunks queue up behind the answer.
 */
class TokenReader {
  readonly #http: LlamaStream;
  readonly #generation: Generation;
  #state = noTokens;
  #last: LastChunk | undefined;
  #promptTokens: number | undefined;
  /** Events behind an unanswered question; undefined when there is none. */
  #queue: CompletionEvent[] | undefined;
  #asking: Promise<void> = Promise.resolve();

  constructor(http: LlamaStream, generation: Generation) {
    this.#http = http;
    this.#generation = generation;
  }

  take(events: readonly CompletionEvent[]): void {
    if (this.#queue) {
      this.#queue.push(...events);
      return;
    }
    const units: Unit[] = [];
    for (const [index, event] of events.entries()) {
      if ('error' in event) throw new BackendError(refusalOf(statusOf(event.error.code), event.error));
      const step = event.stop ? takeEnd(this.#state, event.stop_type) : takeChunk(this.#state, event);
      this.#state = step.state;
      if (event.stop) this.#last = event;
      this.#promptTokens = event.tokens_evaluated;
      units.push(...step.units);
      if (step.need) {
        this.#queue = [...events.slice(index + 1)];
        this.#asking = this.#ask(step.need);
        // Looked at when the stream has ended.
        this.#asking.catch(() => {});
        break;
      }
    }
    if (units.length > 0) this.#generation.onUnits(units, this.#promptTokens);
  }

  /** The last event, once everything before it was handed on. */
  async finished(): Promise<LastChunk> {
    while (this.#queue) await this.#asking;
    if (!this.#last) throw new BackendError({ kind: 'failed', message: 'llama.cpp: the answer broke off' });
    return this.#last;
  }

  async #ask(need: Need): Promise<void> {
    const units = await this.#resolve(need);
    if (units.length > 0) this.#generation.onUnits(units, this.#promptTokens);
    const behind = this.#queue ?? [];
    this.#queue = undefined;
    this.take(behind);
  }

  async #resolve(need: Need): Promise<Unit[]> {
    const { signal } = this.#generation;
    if (need.kind === 'tokenize') {
      const answer = await this.#http.post('/tokenize', { content: need.text }, tokenizeAnswer, signal);
      return resolveTokens(need, answer.tokens);
    }
    const answer = await this.#http.post('/detokenize', { tokens: need.ids }, detokenizeAnswer, signal);
    return resolveText(need, answer.content);
  }
}

function parseEvent(data: string): CompletionEvent {
  const event = completionEvent.safeParse(jsonOf(data));
  if (event.success) return event.data;
  throw new BackendError({ kind: 'failed', message: 'llama.cpp: unexpected event from /completion' });
}

/** Errors inside a stream carry the status that it is too late to send. */
export const statusOf = (code: number | string | undefined): number =>
  typeof code === 'number' && code >= 400 ? code : 500;
