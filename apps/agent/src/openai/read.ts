import type { Unit } from '@drover/schemas';
import { z } from 'zod';
import { type Finished, type OpenAiUsage, sumUsage } from '../core/finish.ts';
import type { OpenAiCall } from '../core/openai/call.ts';
import { providerRefusalOf } from '../core/openai/refusal.ts';
import { slicesOf } from '../core/slices.ts';
import { openAiAnswer, openAiChunk } from '../llama/answers.ts';
import { BackendError } from '../llama/backend-error.ts';
import type { Generation } from '../llama/generate.ts';
import { jsonOf } from '../llama/json.ts';
import type { ProviderHttp } from './http.ts';

/** An error inside a stream, when it is too late for a status. */
const errorEvent = z.object({
  error: z.object({
    message: z.string().optional(),
    code: z.union([z.number(), z.string()]).nullish(),
    type: z.string().nullish(),
  }),
});
const event = z.union([openAiChunk, errorEvent]);

/** Streams an answer; every chunk that has choices is a unit. @throws BackendError, or the signal's reason */
export async function readProviderStream(
  http: ProviderHttp,
  { path, body }: OpenAiCall,
  { signal, onUnits }: Pick<Generation, 'signal' | 'onUnits'>,
): Promise<Finished> {
  const usages: OpenAiUsage[] = [];
  let finish: string | undefined;
  let done = false;
  await http.stream(path, body, signal, (events) => {
    const units: Unit[] = [];
    for (const data of events) {
      if (data === '[DONE]') done = true;
      else take(chunkOf(data), units);
    }
    if (units.length > 0) onUnits(units);
  });
  if (!done) throw new BackendError({ kind: 'failed', message: 'the provider: the answer broke off' });
  return { finish: finish ?? 'stop', usage: sumUsage(usages, 1) };

  function take({ choices, usage }: z.infer<typeof openAiChunk>, units: Unit[]): void {
    if (choices.length > 0) units.push({ k: 'delta', choices });
    finish = choices.find(({ index = 0 }) => index === 0)?.finish_reason ?? finish;
    // Some providers repeat a growing count with every chunk: the last one is the whole.
    if (usage) usages.splice(0, usages.length, usage);
  }
}

/** Asks for a whole answer and hands it on as it is, in slices. @throws as `readProviderStream` */
export async function readProviderBody(
  http: ProviderHttp,
  { path, body }: OpenAiCall,
  { signal, onUnits }: Pick<Generation, 'signal' | 'onUnits'>,
): Promise<Finished> {
  const text = await http.text('POST', path, body, signal);
  const answer = openAiAnswer.safeParse(jsonOf(text));
  if (!answer.success)
    throw new BackendError({ kind: 'failed', message: `the provider: unexpected answer from ${path}` });
  onUnits(slicesOf(text).map((t) => ({ k: 'body', t })));
  const { choices, usage } = answer.data;
  return { finish: choices?.[0]?.finish_reason ?? 'stop', usage: usage && sumUsage([usage], 1) };
}

function chunkOf(data: string): z.infer<typeof openAiChunk> {
  const chunk = event.safeParse(jsonOf(data));
  if (!chunk.success) throw new BackendError({ kind: 'failed', message: 'the provider: unexpected event' });
  if (!('error' in chunk.data)) return chunk.data;
  const { error } = chunk.data;
  const status = typeof error.code === 'number' && error.code >= 400 ? error.code : 500;
  const refusal = providerRefusalOf({ status, headers: {}, error }, Date.now());
  // It had begun: whatever broke it off, tokens may have been bought.
  throw new BackendError(refusal.kind === 'refused' ? refusal : { kind: 'failed', message: refusal.message });
}
