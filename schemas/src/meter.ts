import type { Outcome, Usage } from './messages/outcome.ts';
import type { Portion } from './messages/portion.ts';
import type { Request } from './messages/request.ts';
import type { OpenReply, Unit } from './transcript.ts';

/** What the beginning of an attempt says about who is to be paid. */
export type Opened = Pick<
  OpenReply,
  'mode' | 'cluster' | 'attempt' | 'earlier' | 'promptTokens' | 'usdPer1k' | 'usdPer1kPrompt'
>;

/** On whose account a request runs: what an `ended` event carries along for the ledger. */
export type Account = Pick<Request, 'key' | 'priority'> & { readonly model: string };

export const accountOf = ({ key, priority, body }: Request): Account => ({
  ...(key === undefined ? {} : { key }),
  model: body.model,
  priority,
});

/**
 * Pure. Which attempt said how many tokens of a reply, in order; none when no attempt is known to have begun.
 * Tokens that llama.cpp counted are believed. Where it did not come to count them (the reply was cut off), each unit of a
 * `tokens` reply is one. Else what is known is less than what was used, and the portion says so (`uncounted`): of a
 * `deltas` reply the chunks that add something, of a `body` nothing.
 * @param opened the latest attempt that said something
 * @param usage of the whole reply, as the outcome states it or llama.cpp had counted when it was cut off
 */
export function portionsOf(
  opened: Opened | undefined,
  units: readonly Unit[],
  usage: Usage | undefined,
): Portion[] {
  if (opened === undefined) return [];
  const { cluster, attempt, earlier = [], usdPer1k, usdPer1kPrompt } = opened;
  const read = earlier.reduce((sum, { promptTokens }) => sum + promptTokens, 0);
  const said = earlier.reduce((sum, { completionTokens }) => sum + completionTokens, 0);
  const all = usage?.completionTokens ?? tokensIn(units);
  const prompt = usage?.promptTokens ?? opened.promptTokens;
  const isCounted = usage !== undefined || (opened.mode === 'tokens' && (read > 0 || prompt !== undefined));
  const last: Portion = {
    cluster,
    attempt,
    promptTokens: read > 0 ? 0 : (prompt ?? 0),
    completionTokens: Math.max(0, all - said),
    ...(isCounted ? {} : { uncounted: true }),
    ...(usdPer1k === undefined ? {} : { usdPer1k }),
    ...(usdPer1kPrompt === undefined ? {} : { usdPer1kPrompt }),
  };
  // A prompt that the first attempt did not come to count was the only thing missing there.
  const isCountedNow = read === 0 && last.promptTokens > 0;
  return [...(isCountedNow ? earlier.map(({ uncounted: _, ...counted }) => counted) : earlier), last];
}

/** Pure. The portions of a request that `outcome` ends, for whoever follows its replies. */
export const meter = (
  transcript: {
    readonly open: Opened | undefined;
    readonly units: readonly Unit[];
    readonly counted?: Usage | undefined;
  },
  outcome?: Outcome,
): Portion[] => portionsOf(transcript.open, transcript.units, outcome?.usage ?? transcript.counted);

const tokensIn = (units: readonly Unit[]): number =>
  units.reduce(
    (sum, unit) => sum + (unit.k === 'token' || (unit.k === 'delta' && saysSomething(unit)) ? 1 : 0),
    0,
  );

const saysSomething = ({ choices }: Extract<Unit, { k: 'delta' }>): boolean =>
  choices.some((choice) => {
    if (!isRecord(choice)) return false;
    const delta = isRecord(choice.delta) ? choice.delta : choice;
    return ['content', 'reasoning_content', 'text', 'tool_calls'].some((field) => hasContent(delta[field]));
  });

const hasContent = (value: unknown): boolean =>
  (typeof value === 'string' || Array.isArray(value)) && value.length > 0;

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
