/**
 * Why a price was not taken; stable, and a label of metrics. `unreachable`, `denied`, `malformed`: the source did not say.
 * `no-price`, `ambiguous`: it did not say this. The rest: it said something that is not believed, or could not be written.
 */
export const refusalCodes = [
  'unreachable',
  'denied',
  'malformed',
  'no-price',
  'ambiguous',
  'currency',
  'unit',
  'not-positive',
  'future',
  'jump',
  'conflict',
] as const;
export type RefusalCode = (typeof refusalCodes)[number];

export type Refused = { readonly ok: false; readonly code: RefusalCode; readonly problem: string };
export type Answer<T> = { readonly ok: true; readonly value: T } | Refused;

export const given = <T>(value: T): Answer<T> => ({ ok: true, value });
export const refuse = (code: RefusalCode, problem: string): Refused => ({ ok: false, code, problem });
