import type { Tariff } from '@drover/schemas';
import { type Answer, type Refused, refuse } from './answer.ts';

/** The price in force. `by`: the person who set it; absent: a feeder, or the seed of a new bucket. */
export type Current = { readonly tariff: Tariff; readonly by?: string };

export type Verdict =
  | { readonly kind: 'write'; readonly tariff: Tariff }
  /** A person's price that has not lapsed, or nothing new. */
  | { readonly kind: 'keep'; readonly why: 'held' | 'unchanged' }
  | ({ readonly kind: 'refuse' } & Omit<Refused, 'ok'>);

/** How far clocks may differ, in ms. A price from later than that would never grow stale. */
const skewMs = 300_000;

/**
 * Pure. What to do with what a feeder said. A refused price leaves the last one, which grows stale.
 *
 * A person's price wins until it lapses, or for good when it has no lifetime. After it nothing is compared with it: people set
 * odd prices on purpose, and so this is how a jump that is real is let through.
 * @param maxChange how many times the last price a believable one is at most, or at least the inverse of
 */
export function judge(
  current: Current | undefined,
  answer: Answer<Tariff>,
  { maxChange, nowMs }: { maxChange: number; nowMs: number },
): Verdict {
  if (current?.by !== undefined && holds(current.tariff, nowMs)) return { kind: 'keep', why: 'held' };
  if (!answer.ok) return refusal(answer);
  const { value: tariff } = answer;
  const wrong =
    notPositive(tariff) ??
    fromFuture(tariff, nowMs) ??
    (current && current.by === undefined ? jump(current.tariff, tariff, maxChange) : undefined);
  if (wrong) return refusal(wrong);
  if (current && isSame(current.tariff, tariff)) return { kind: 'keep', why: 'unchanged' };
  return { kind: 'write', tariff };
}

const refusal = ({ code, problem }: Refused): Verdict => ({ kind: 'refuse', code, problem });

const holds = ({ asOf, validForMs }: Tariff, nowMs: number): boolean =>
  validForMs === undefined || nowMs - Date.parse(asOf) <= validForMs;

/** An external provider charges by token, so its hour may be free. */
function notPositive({ usdPerHour, usdPerMillion }: Tariff): Refused | undefined {
  const figures = usdPerMillion ? [usdPerMillion.prompt, usdPerMillion.output] : [usdPerHour];
  return figures.every((figure) => figure > 0)
    ? undefined
    : refuse('not-positive', `${figures.join(' and ')} USD`);
}

const fromFuture = ({ asOf }: Tariff, nowMs: number): Refused | undefined =>
  Date.parse(asOf) > nowMs + skewMs ? refuse('future', `as of ${asOf}`) : undefined;

function jump(before: Tariff, after: Tariff, maxChange: number): Refused | undefined {
  const pairs: readonly (readonly [number | undefined, number | undefined])[] = [
    [before.usdPerHour, after.usdPerHour],
    [before.usdPerMillion?.prompt, after.usdPerMillion?.prompt],
    [before.usdPerMillion?.output, after.usdPerMillion?.output],
  ];
  for (const [from, to] of pairs)
    if (from && to && (to > from * maxChange || to < from / maxChange))
      return refuse('jump', `from ${from} to ${to} USD, more than ${maxChange} times`);
  return undefined;
}

const isSame = (a: Tariff, b: Tariff): boolean => canonical(a) === canonical(b);
const canonical = (tariff: Tariff): string =>
  JSON.stringify(tariff, Object.keys(tariff).concat('prompt', 'output').toSorted());
