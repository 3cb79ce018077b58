import { isRecord } from './identity.ts';

type Choice = Record<string, unknown>;

/** Text that comes in pieces; anything else comes whole, and a later value replaces it. */
const pieces = new Set(['content', 'reasoning_content', 'refusal', 'text', 'arguments']);

/**
 * The choices of a whole answer, from the `choices` of every chunk of the stream: `delta` becomes `message`, texts and
 * tool arguments are joined, log probabilities appended.
 */
export function mergeDeltas(chunks: readonly (readonly unknown[])[]): Choice[] {
  const merged = new Map<number, Choice>();
  for (const choice of chunks.flat()) {
    if (!isRecord(choice)) continue;
    const index = typeof choice.index === 'number' ? choice.index : 0;
    const known = merged.get(index) ?? { index };
    merged.set(index, addChoice(known, choice));
  }
  return [...merged.entries()].sort(([a], [b]) => a - b).map(([, choice]) => choice);
}

function addChoice(known: Choice, { delta, ...rest }: Choice): Choice {
  const whole = addFields(known, rest);
  if (!isRecord(delta)) return whole;
  const message = isRecord(known.message) ? known.message : { role: 'assistant', content: null };
  return { ...whole, message: addFields(message, delta) };
}

function addFields(known: Choice, more: Choice): Choice {
  const sum = { ...known };
  for (const [name, value] of Object.entries(more)) sum[name] = addValue(name, known[name], value);
  return sum;
}

function addValue(name: string, known: unknown, more: unknown): unknown {
  if (known === undefined || known === null) return name === 'tool_calls' ? addToolCalls([], more) : more;
  if (more === null || more === undefined) return known;
  if (typeof known === 'string' && typeof more === 'string') return pieces.has(name) ? known + more : more;
  if (name === 'tool_calls') return addToolCalls(known, more);
  if (Array.isArray(known) && Array.isArray(more)) return [...known, ...more];
  if (isRecord(known) && isRecord(more)) return addFields(known, more);
  return more;
}

/** Tool calls come in pieces too, told apart by an `index` that the whole answer does not have. */
function addToolCalls(known: unknown, more: unknown): unknown[] {
  const calls: unknown[] = Array.isArray(known) ? [...known] : [];
  for (const piece of Array.isArray(more) ? more : []) {
    if (!isRecord(piece)) continue;
    const { index, ...call } = piece;
    const at = typeof index === 'number' && index >= 0 && index <= calls.length ? index : calls.length;
    const before = calls[at];
    calls[at] = isRecord(before) ? addFields(before, call) : call;
  }
  return calls;
}
