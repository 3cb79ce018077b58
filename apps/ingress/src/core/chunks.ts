import { type ReplyMode, seenAfter, type Unit } from '@drover/schemas';
import { bodyAnswer } from './body-answer.ts';
import { type Identity, isRecord, openAiUsage } from './identity.ts';
import { event, numbered } from './sse.ts';
import type { Ending } from './whole-answer.ts';

export type ChunkStyle = { readonly mode: ReplyMode; readonly includeUsage: boolean };

/**
 * Writes the chunks of one streamed answer, as the text of server-sent events. What repeats in every chunk is made once:
 * per token only its own text is encoded.
 */
export class ChunkWriter {
  readonly #identity: Identity;
  readonly #style: ChunkStyle;
  readonly #head: string;
  readonly #tail: string;
  readonly #beforeText: string;
  readonly #afterText: string;
  /** Slices of a `body` answer: shown when it is whole. */
  readonly #body: Unit[] = [];
  /** What the reader has seen; undefined when nobody knows what that was before it came back. */
  #digest: number | undefined;

  /** @param digest what the reader has seen before, as `seenAfter` counts it */
  constructor(identity: Identity, style: ChunkStyle, digest: number | undefined) {
    this.#digest = digest;
    const { endpoint, id, created, model } = identity;
    const object = endpoint === 'completion' ? 'text_completion' : 'chat.completion.chunk';
    const [before, after] = aroundText[endpoint === 'completion' ? 'completion' : 'chat'];
    this.#identity = identity;
    this.#style = style;
    this.#head = `${JSON.stringify({ id, object, created, model }).slice(0, -1)},"choices":`;
    // OpenAI sends `usage: null` in every chunk but the last when usage was asked for.
    this.#tail = style.includeUsage ? ',"usage":null}' : '}';
    this.#beforeText = this.#head + before;
    this.#afterText = after + this.#tail;
  }

  /** The events of units `at …`; empty when they have nothing to show yet. */
  units(at: number, units: readonly Unit[]): string {
    let events = at === 0 ? this.#opening() : '';
    let next = at;
    for (const unit of units) {
      next++;
      if (this.#digest !== undefined) this.#digest = seenAfter(this.#digest, unit);
      if (unit.k === 'body') this.#body.push(unit);
      else if (unit.k === 'delta') events += this.#delta(next, unit.choices);
      // llama.cpp held the text back: it comes with a later token.
      else if (unit.t !== '') {
        events += this.#numbered(next, this.#beforeText + JSON.stringify(unit.t) + this.#afterText);
      }
    }
    return events;
  }

  /** The last events of a complete answer, without `[DONE]`. */
  end(ending: Ending): string {
    // Embeddings are never streamed by OpenAI; a reader that comes back by id gets them in one event.
    if (this.#identity.endpoint === 'embedding') return event(JSON.stringify(this.#bodyAnswer()));
    return this.#closing(ending) + this.#usage(ending);
  }

  #numbered(units: number, data: string): string {
    return numbered({ units, digest: this.#digest }, data);
  }

  #delta(unitsSoFar: number, choices: readonly unknown[]): string {
    return choices.length === 0 ? '' : this.#numbered(unitsSoFar, this.#chunk(choices));
  }

  /** Chat starts with the role, as OpenAI's does. Deltas bring their own. */
  #opening(): string {
    if (this.#identity.endpoint !== 'chat' || this.#style.mode !== 'tokens') return '';
    return event(this.#chunk([{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }]));
  }

  #closing({ finish }: Ending): string {
    switch (this.#style.mode) {
      case 'tokens':
        return event(this.#chunk([lastChoice(this.#identity, finish)]));
      case 'deltas':
        // llama.cpp's own last delta carried the finish_reason of each choice.
        return '';
      case 'body':
        return event(this.#chunk(choicesOf(this.#bodyAnswer())));
      default:
        return this.#style.mode satisfies never;
    }
  }

  #usage({ usage }: Ending): string {
    if (!this.#style.includeUsage || usage === undefined) return '';
    return event(`${this.#head}[],"usage":${JSON.stringify(openAiUsage(usage))}}`);
  }

  #chunk(choices: readonly unknown[]): string {
    return this.#head + JSON.stringify(choices) + this.#tail;
  }

  #bodyAnswer(): Record<string, unknown> {
    return bodyAnswer(this.#identity, this.#body);
  }
}

/** The JSON before and after the text of one token. */
const aroundText = {
  chat: ['[{"index":0,"delta":{"content":', '},"finish_reason":null}]'],
  completion: ['[{"text":', ',"index":0,"logprobs":null,"finish_reason":null}]'],
} as const;

const lastChoice = ({ endpoint }: Identity, finish: string | null) =>
  endpoint === 'completion'
    ? { text: '', index: 0, logprobs: null, finish_reason: finish }
    : { index: 0, delta: {}, finish_reason: finish };

/** The choices of a whole answer as those of one chunk. */
const choicesOf = ({ choices }: Record<string, unknown>): unknown[] =>
  (Array.isArray(choices) ? choices : []).map(asDelta);

function asDelta(choice: unknown): unknown {
  if (!isRecord(choice) || !isRecord(choice.message)) return choice;
  const { message, ...rest } = choice;
  const calls = message.tool_calls;
  const delta = Array.isArray(calls)
    ? { ...message, tool_calls: calls.map((call, index) => (isRecord(call) ? { index, ...call } : call)) }
    : message;
  return { ...rest, delta };
}
