import { randomInt } from 'node:crypto';
import { type Counted, countedInSlots, uncounted } from '../core/counted.ts';
import { type Finished, sumUsage } from '../core/finish.ts';
import { slicesOf } from '../core/slices.ts';
import { openAiAnswer, slotsDetail, tokenizeAnswer } from './answers.ts';
import { canAssemble, readAssembled } from './assembled.ts';
import { BackendError } from './backend-error.ts';
import type { Generation } from './generate.ts';
import type { LlamaHttp } from './http.ts';
import { jsonOf } from './json.ts';

type Body = Readonly<Record<string, unknown>>;

/** An answer that is broken off is counted first, if that takes no longer. */
const countWithinMs = 250;
/** Texts of one embedding that are counted when it is cut off, each with a call of its own. */
const inputsMax = 64;

/**
 * Hands on the answer of one of llama.cpp's OpenAI endpoints, in slices: put together from a stream where that makes the same,
 * else as it is. @throws as `generate`
 */
export async function readBody(
  http: LlamaHttp,
  call: { readonly path: string; readonly body: Body },
  generation: Generation,
): Promise<Finished> {
  if (canAssemble(call)) return readAssembled(http, call, generation);
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

/** What the answer has used so far. Nothing of it was heard, so llama.cpp has to be asked. Never rejects. */
async function count(http: LlamaHttp, body: Body, { onCounted }: Generation): Promise<void> {
  try {
    const counted = 'input' in body ? await countInput(http, body.input) : await countInSlots(http, body);
    if (counted !== undefined) onCounted?.(counted);
  } catch {
    onCounted?.(uncounted);
  }
}

async function countInSlots(http: LlamaHttp, { seed, n, prompt }: Body): Promise<Counted | undefined> {
  if (typeof seed !== 'number') return uncounted;
  const slots = await http.get('/slots', slotsDetail, countWithinMs);
  const prompts = Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt.length : 1;
  return countedInSlots(slots, { seed, choices: typeof n === 'number' ? n : 1, prompts });
}

/**
 * An embedding has no seed to know its slot by, and needs none: it is nothing but its prompt, which llama.cpp reads to the end
 * once it has begun, whoever still waits for it.
 */
async function countInput(http: LlamaHttp, input: unknown): Promise<Counted> {
  const inputs = Array.isArray(input) && typeof input[0] !== 'number' ? input : [input];
  if (inputs.length > inputsMax) return uncounted;
  const signal = AbortSignal.timeout(countWithinMs);
  const lengths = await Promise.all(inputs.map((one) => lengthOf(http, one, signal)));
  const promptTokens = lengths.reduce((sum, length) => sum + length, 0);
  return { usage: { promptTokens, completionTokens: 0 }, isAll: true };
}

async function lengthOf(http: LlamaHttp, input: unknown, signal: AbortSignal): Promise<number> {
  if (typeof input !== 'string') return Array.isArray(input) ? input.length : 0;
  const body = { content: input, add_special: true, parse_special: true };
  return (await http.post('/tokenize', body, tokenizeAnswer, signal)).tokens.length;
}

/** The request with the random seed that llama.cpp would otherwise draw itself: its slots are known by it. */
function seeded(body: Body): Body {
  if ('input' in body || (typeof body.seed === 'number' && body.seed >= 0)) return body;
  return { ...body, seed: randomInt(2 ** 31) };
}
