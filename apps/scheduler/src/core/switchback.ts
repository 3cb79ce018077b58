import type { Experiment, Policy, Turn } from '@drover/schemas';
import { drawnFrom } from './drawn.ts';

/** The policy whose turn it is. */
export type PolicyTurn = { readonly value: Policy; readonly turn: Turn };

/**
 * Which policy of an experiment is in force at a time. Depends on nothing else, so all schedulers with the same clock agree.
 * Windows come in rounds, and in each round every policy has one window, in an order drawn for that round: the policies get
 * equal time, and none can be in step with what the day does. Undefined before, after and without a switchback.
 */
export function policyAt({ name, switchback }: Experiment, nowMs: number): PolicyTurn | undefined {
  if (!switchback) return undefined;
  const { policies, seed, startsAt, endsAt, windowMs, burnInMs } = switchback;
  const sinceMs = nowMs - Date.parse(startsAt);
  if (!(sinceMs >= 0) || (endsAt !== undefined && nowMs >= Date.parse(endsAt))) return undefined;
  const window = Math.floor(sinceMs / windowMs);
  const names = Object.keys(policies).toSorted();
  const round = Math.floor(window / names.length);
  const policy = names.toSorted((a, b) => place(a) - place(b))[window % names.length] ?? '';
  const value = policies[policy];
  if (!value) return undefined;
  const intoMs = sinceMs - window * windowMs;
  return {
    value,
    turn: {
      experiment: name,
      policy,
      window,
      windowStartsAtMs: nowMs - intoMs,
      ...(intoMs < burnInMs ? { burnIn: true as const } : {}),
    },
  };

  function place(one: string): number {
    return drawnFrom(name, seed, round, one);
  }
}
