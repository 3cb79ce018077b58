import { type Finished, sumUsage } from '../core/finish.ts';
import { slicesOf } from '../core/slices.ts';
import { openAiAnswer } from './answers.ts';
import { BackendError } from './backend-error.ts';
import type { Generation } from './generate.ts';
import type { LlamaHttp } from './http.ts';
import { jsonOf } from './json.ts';

/** Posts to one of llama.cpp's OpenAI endpoints and hands on its answer as it is, in slices. @throws as `generate` */
export async function readBody(
  http: LlamaHttp,
  call: { readonly path: string; readonly body: Readonly<Record<string, unknown>> },
  generation: Generation,
): Promise<Finished> {
  const text = await http.text('POST', call.path, call.body, generation.signal);
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
}
