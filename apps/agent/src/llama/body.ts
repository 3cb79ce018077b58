import { randomInt } from 'node:crypto';
import { countedInSlots, uncounted } from '../core/counted.ts';
import { type Finished, sumUsage } from '../core/finish.ts';
import { slicesOf } from '../core/slices.ts';
import { openAiAnswer, slotsDetail } from './answers.ts';
import { BackendError } from './backend-error.ts';
import type { Generation } from './generate.ts';
import type { LlamaHttp } from './http.ts';
import { jsonOf } from './json.ts';

type Body = Readonly<Record<string, unknown>>;

/** An answer that is broken off is counted first, if that takes no longer. */
const countWithinMs = 250;

/** Posts to one of llama.cpp's OpenAI endpoints and hands on its answer as it is, in slices. @throws as `generate` */
export async function readBody(
  http: LlamaHttp,
  call: { readonly path: string; readonly body: Body },
  generation: Generation,
): Promise<Finished> {
  const { signal } = generation;
  const body = seeded(call.body);
  const connection = new AbortController();
  const breakOff = () => void count(http, body, generation).finally(() => connection.abort(signal.reason));
  signal.addEventListener('abort', breakOff, { once: true });
  try {
    signal.throwIfAborted();
    const text = await http.text('POST', call.path, body, connection.signal);
    const answer = openAiAnswer.safeParse(jsonOf(text));
    if (!answer.success)
      throw new BackendError({ kind: 'failed', message: `llama.cpp: unexpected answer from ${call.path}` });
    generation.onUnits(slicesOf(text).map((t) => ({ k: 'body', t })));
    const { choices, usage, timings } = answer.data;
    return {
      finish: choices?.[0]?.finish_reason ?? 'stop',
      usage: usage && sumUsage([usage], 1),
      timings,
    };
  } finally {
    signal.removeEventListener('abort', breakOff);
  }
}

/**
 * What the answer has used so far. Nothing of it was heard, so llama.cpp has to be asked; an embedding has no seed to know
 * it by. Never rejects.
 */
async function count(http: LlamaHttp, body: Body, { onCounted }: Generation): Promise<void> {
  const { seed, n, prompt } = body;
  if (typeof seed !== 'number') {
    onCounted?.(uncounted);
    return;
  }
  try {
    const slots = await http.get('/slots', slotsDetail, countWithinMs);
    const prompts = Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt.length : 1;
    const counted = countedInSlots(slots, { seed, choices: typeof n === 'number' ? n : 1, prompts });
    if (counted !== undefined) onCounted?.(counted);
  } catch {
    onCounted?.(uncounted);
  }
}

/** The request with the random seed that llama.cpp would otherwise draw itself: its slots are known by it. */
function seeded(body: Body): Body {
  if ('input' in body || (typeof body.seed === 'number' && body.seed >= 0)) return body;
  return { ...body, seed: randomInt(2 ** 31) };
}
