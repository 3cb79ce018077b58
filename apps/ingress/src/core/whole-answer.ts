import { DroverError, type Unit, type Usage } from '@drover/schemas';
import { bodyAnswer } from './body-answer.ts';
import { type Identity, openAiUsage } from './identity.ts';
import { mergeDeltas } from './merge-deltas.ts';

/** How an answer stands: `finish` is null while it is still being made. */
export type Ending = { readonly finish: string | null; readonly usage?: Usage | undefined };

const objects = { chat: 'chat.completion', completion: 'text_completion', embedding: 'list' } as const;

/**
 * The whole answer in one object, whatever kind of units it came in. Also serves for the part that there is so far,
 * except of a `body`, which is of use only when it is complete.
 * @throws DroverError `backend_failed` for units that make no answer
 */
export function wholeAnswer(
  identity: Identity,
  units: readonly Unit[],
  ending: Ending,
): Record<string, unknown> {
  if (units[0]?.k === 'body') return bodyAnswer(identity, units);
  if (identity.endpoint === 'embedding') {
    throw new DroverError('backend_failed', 'The backend gave no embeddings.');
  }
  return {
    id: identity.id,
    object: objects[identity.endpoint],
    created: identity.created,
    model: identity.model,
    choices:
      units[0]?.k === 'delta'
        ? mergeDeltas(units.map((unit) => (unit.k === 'delta' ? unit.choices : [])))
        : [textChoice(identity, textOf(units), ending.finish)],
    ...(ending.usage === undefined ? {} : { usage: openAiUsage(ending.usage) }),
  };
}

export const textOf = (units: readonly Unit[]): string =>
  units.map((unit) => (unit.k === 'token' ? unit.t : '')).join('');

const textChoice = ({ endpoint }: Identity, text: string, finish: string | null) =>
  endpoint === 'chat'
    ? { index: 0, message: { role: 'assistant', content: text }, logprobs: null, finish_reason: finish }
    : { index: 0, text, logprobs: null, finish_reason: finish };
