import type { Unit } from '@drover/schemas';
import { z } from 'zod';
import { countedInChunks } from '../core/counted.ts';
import { type Finished, type OpenAiUsage, sumUsage, type Timings } from '../core/finish.ts';
import { refusalOf } from '../core/refusal.ts';
import { errorAnswer, openAiChunk } from './answers.ts';
import { BackendError } from './backend-error.ts';
import type { Generation } from './generate.ts';
import type { LlamaHttp } from './http.ts';
import { jsonOf } from './json.ts';
import { statusOf } from './tokens.ts';

const event = z.union([openAiChunk, errorAnswer]);

/** Streams one of llama.cpp's OpenAI endpoints; every chunk that has choices is a unit. @throws as `generate` */
export async function readDeltas(
  http: LlamaHttp,
  call: { readonly path: string; readonly body: Readonly<Record<string, unknown>> },
  generation: Generation,
  onChunk: (data: string) => void = () => {},
): Promise<Finished> {
  const usages: OpenAiUsage[] = [];
  const choices = typeof call.body.n === 'number' ? call.body.n : 1;
  // A chunk is no token: a call of a tool may come in pieces or late.
  const body = { ...call.body, timings_per_token: true };
  const latest = new Map<number, Timings>();
  let finish: string | undefined;
  let timings: Finished['timings'];
  let done = false;
  await http.stream(call.path, body, generation.signal, (events) => {
    const units: Unit[] = [];
    for (const data of events) {
      if (data === '[DONE]') done = true;
      // What llama.cpp says first of a completion with several prompts.
      else if (data !== 'null') {
        take(parseChunk(data), units);
        onChunk(data);
      }
    }
    const counted = countedInChunks(latest, choices);
    if (counted) generation.onCounted?.(counted);
    if (units.length > 0) generation.onUnits(units);
  });
  if (!done) throw new BackendError({ kind: 'failed', message: 'llama.cpp: the answer broke off' });
  return { finish: finish ?? 'stop', usage: sumUsage(usages, choices), timings };

  function take(chunk: z.infer<typeof openAiChunk>, units: Unit[]): void {
    if (chunk.choices.length > 0) units.push({ k: 'delta', choices: chunk.choices });
    const first = chunk.choices.find((choice) => (choice.index ?? 0) === 0);
    finish = first?.finish_reason ?? finish;
    timings = chunk.timings ?? timings;
    const index = chunk.choices[0]?.index ?? 0;
    if (chunk.timings && chunk.choices.length > 0) latest.set(index, chunk.timings);
    if (chunk.usage) usages.push(chunk.usage);
  }
}

function parseChunk(data: string): z.infer<typeof openAiChunk> {
  const chunk = event.safeParse(jsonOf(data));
  if (!chunk.success) throw new BackendError({ kind: 'failed', message: 'llama.cpp: unexpected event' });
  if ('error' in chunk.data)
    throw new BackendError(refusalOf(statusOf(chunk.data.error.code), chunk.data.error));
  return chunk.data;
}
