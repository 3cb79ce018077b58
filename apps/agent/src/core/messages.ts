import { maxReplySliceBytes, type Reply, type Unit } from '@drover/schemas';

const unitsMax = 512;

/**
 * Pure. Units `from …` as messages of one owner. Tokens are only cut where no text is held back: a unit without text
 * stays with the one that has it.
 */
export function messagesOf(units: readonly Unit[], from: number, fence: number): Reply[] {
  const messages: Reply[] = [];
  for (let start = 0; start < units.length; ) {
    const end = endOfMessage(units, start);
    messages.push(messageOf(units.slice(start, end), from + start, fence));
    start = end;
  }
  return messages;
}

function endOfMessage(units: readonly Unit[], start: number): number {
  const first = units[start];
  if (first?.k === 'body') return start + 1;
  let bytes = 0;
  let end = start;
  while (end < units.length && end - start < unitsMax) {
    bytes += sizeOf(units[end]);
    if (bytes > maxReplySliceBytes && end > start) break;
    end++;
  }
  if (end === units.length) return end;
  let cut = end;
  while (cut > start && isHeld(units[cut - 1])) cut--;
  // A whole message of held tokens cannot be cut: it grows until their text comes.
  if (cut > start) return cut;
  while (end < units.length && isHeld(units[end - 1])) end++;
  return end;
}

const isHeld = (unit: Unit | undefined): boolean => unit?.k === 'token' && unit.t === '';

/** Bytes of JSON, overestimated. */
function sizeOf(unit: Unit | undefined): number {
  if (unit === undefined) return 0;
  return unit.k === 'delta' ? JSON.stringify(unit.choices).length * 3 : unit.t.length * 6 + 16;
}

function messageOf(units: readonly Unit[], i: number, f: number): Reply {
  const [first] = units;
  switch (first?.k) {
    case 'delta':
      return { v: 1, k: 'deltas', f, i, d: units.flatMap((u) => (u.k === 'delta' ? [[...u.choices]] : [])) };
    case 'body':
      return { v: 1, k: 'body', f, i, t: first.t };
    default: {
      const tokens = units.filter((unit) => unit.k === 'token');
      return { v: 1, k: 'tokens', f, i, ids: tokens.map(({ id }) => id), t: tokens.map(({ t }) => t) };
    }
  }
}
