import { createHash } from 'node:crypto';
import type { Endpoint } from '@drover/schemas';
import { z } from 'zod';
import { modelFingerprint } from '../core/model-hash.ts';
import { modelsAnswer, propsAnswer } from './answers.ts';
import { BackendError } from './backend-error.ts';
import type { LlamaHttp } from './http.ts';

/** What one start of llama.cpp serves, and with how many slots. */
export type Backend = {
  readonly slots: number;
  readonly model: {
    readonly name: string;
    readonly hash: string;
    /** Of one slot, prompt and answer together. */
    readonly contextTokens: number;
    readonly endpoints: Endpoint[];
  };
};

const askMs = 2_000;

/** Asks a llama.cpp that is up what it is. @throws BackendError */
export async function describeBackend(
  http: LlamaHttp,
  given: { readonly name: string | undefined; readonly sha256: string | undefined },
): Promise<Backend> {
  const [props, models, embeds] = await Promise.all([
    http.get('/props', propsAnswer, askMs),
    http.get('/v1/models', modelsAnswer, askMs),
    servesEmbeddings(http),
  ]);
  const [model] = models.data;
  const hash = given.sha256 ?? hashOf(modelFingerprint(model?.meta ?? {}, props.chat_template));
  return {
    slots: props.total_slots,
    model: {
      name: given.name ?? model?.id ?? 'unknown',
      hash,
      contextTokens: props.default_generation_settings.n_ctx,
      endpoints: ['chat', 'completion', ...(embeds ? (['embedding'] as const) : [])],
    },
  };
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32);

/** llama.cpp does not say whether it was started for embeddings; it answers one, or refuses. */
async function servesEmbeddings(http: LlamaHttp): Promise<boolean> {
  try {
    await http.post('/v1/embeddings', { input: 'x' }, z.object({}), AbortSignal.timeout(askMs));
    return true;
  } catch (error) {
    if (error instanceof BackendError && error.refusal.kind === 'refused') return false;
    throw error;
  }
}
