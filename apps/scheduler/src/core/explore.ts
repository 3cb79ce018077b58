import type { Pick } from './hysteresis.ts';
import type { Context, Scored } from './types.ts';

/**
 * Sends a small share of the requests to another feasible cluster than the usual one, each other as likely as the next: a
 * cluster that never serves is never measured. The chance of it can be told from the policy, and so of each choice. The
 * incumbent stays.
 */
export function explore(scored: readonly Scored[], usual: Pick, { policy, random }: Context): Pick {
  const beyond = random - (1 - policy.exploration);
  if (beyond < 0 || policy.exploration === 0 || scored.length < 2) return usual;
  const others = scored.filter((one) => one !== usual.chosen);
  // The draw that decided to explore is spread over the others: one draw per decision is enough.
  const chosen = others[Math.floor((beyond / policy.exploration) * others.length)];
  return chosen ? { ...usual, chosen, rule: 'explored' } : usual;
}
