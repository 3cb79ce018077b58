import type { Arm, Catalogue, Request, Variant } from '@drover/schemas';
import { drawnFrom } from './drawn.ts';

/** Enough digits of the draw to tell users apart; they tell nothing about them. */
const unitDigits = 12;

/**
 * The model that a variant gives to a request, the same for all requests of the same user. When weights change, only as many
 * users move as must: weighted rendezvous hashing.
 */
export function armOf({ name, models }: Variant, request: Request): Arm {
  const user = [name, request.tenant, ...userOf(request)];
  let best: { model: string; score: number } | undefined;
  for (const [model, weight] of Object.entries(models)) {
    if (!(weight > 0)) continue;
    const score = -Math.log(1 - drawnFrom(...user, model)) / weight;
    if (!best || score < best.score || (score === best.score && model < best.model)) best = { model, score };
  }
  if (!best) throw new Error(`the variant ${name} has no model`);
  return {
    variant: name,
    model: best.model,
    unit: drawnFrom(...user)
      .toFixed(unitDigits)
      .slice(2),
  };
}

/** The variant of that name. */
export const variantNamed = ({ variants }: Catalogue, name: string): Variant | undefined =>
  variants?.find((variant) => variant.name === name);

/**
 * Whose request it is: OpenAI's `user`, or the session that `prompt_cache_key` names. A request that says neither is alone,
 * so that a tenant that names no users is split by request.
 */
function userOf({ id, body }: Request): readonly string[] {
  if (typeof body.user === 'string' && body.user !== '') return ['user', body.user];
  const session: unknown = 'prompt_cache_key' in body ? body.prompt_cache_key : undefined;
  if (typeof session === 'string' && session !== '') return ['session', session];
  return ['request', id];
}
