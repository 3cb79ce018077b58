import {
  meter,
  type Portion,
  type Reply,
  type ReplyMode,
  Transcript,
  type Unit,
  unitsIn,
} from '@drover/schemas';

/** How a new owner goes on with a request that somebody may have begun to answer. */
export type Continuation =
  | { readonly kind: 'start' }
  | { readonly kind: 'continue'; readonly units: readonly Unit[]; readonly earlier: readonly Portion[] }
  /** `earlier` is absent when nobody can tell any more who said what. */
  | {
      readonly kind: 'impossible';
      readonly message: string;
      readonly earlier: readonly Portion[] | undefined;
    };

/** Pure. `replies` is what the stream holds of the request, in its order, up to this owner's own claim. */
export function continuationOf(
  replies: readonly Reply[],
  mine: { readonly mode: ReplyMode; readonly modelHash: string },
): Continuation {
  const transcript = new Transcript();
  let mentioned = 0;
  for (const reply of replies) {
    if (transcript.accept(reply) === 'stale') continue;
    if ('i' in reply) mentioned = Math.max(mentioned, reply.i + unitsIn(reply));
  }
  const { units, open } = transcript;
  // Nothing of a body is shown before it is whole. A provider says as a body what llama.cpp may have begun in tokens.
  if (mine.mode === 'body' && (open === undefined || open.mode === 'body')) return { kind: 'start' };
  const earlier = meter(transcript);
  const impossible = (message: string): Continuation => ({ kind: 'impossible', message, earlier });
  if (units.length === 0)
    return mentioned === 0
      ? { kind: 'start' }
      : {
          kind: 'impossible',
          message: 'the beginning of the answer is no longer stored',
          earlier: undefined,
        };
  if (mine.mode !== 'tokens' || open?.mode !== 'tokens')
    return impossible('an answer of this kind cannot be continued once some of it was sent');
  if (open.modelHash !== mine.modelHash) return impossible('the answer was begun by another model');
  return { kind: 'continue', units: [...units], earlier };
}
