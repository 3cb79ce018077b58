import { DroverError, type Unit } from '@drover/schemas';
import { type Identity, isRecord } from './identity.ts';

/**
 * llama.cpp's own JSON answer out of its slices, with our id, time and the model's catalogue name.
 * @throws DroverError `backend_failed` when it is no JSON object
 */
export function bodyAnswer(identity: Identity, units: readonly Unit[]): Record<string, unknown> {
  let answer: unknown;
  try {
    answer = JSON.parse(units.map((unit) => (unit.k === 'body' ? unit.t : '')).join(''));
  } catch {
    answer = undefined;
  }
  if (!isRecord(answer)) throw new DroverError('backend_failed', 'The backend gave no valid answer.');
  // OpenAI's list of embeddings has neither id nor time.
  if (identity.endpoint === 'embedding') return { ...answer, model: identity.model };
  return { ...answer, id: identity.id, created: identity.created, model: identity.model };
}
