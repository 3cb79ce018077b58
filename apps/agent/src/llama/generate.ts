import type { Unit } from '@drover/schemas';
import { type Call, completionBody } from '../core/call.ts';
import type { Counted } from '../core/counted.ts';
import type { Finished } from '../core/finish.ts';
import { templateAnswer, tokenizeAnswer } from './answers.ts';
import { readBody } from './body.ts';
import { readDeltas } from './deltas.ts';
import type { LlamaHttp } from './http.ts';
import { readTokens } from './tokens.ts';

/** Called as units arrive, in order. `promptTokens` once it is known: the prompt as this call gave it. */
export type OnUnits = (units: readonly Unit[], promptTokens?: number) => void;

export type Generation = {
  readonly call: Call;
  /** What was already said of the reply; only of a `tokens` call. */
  readonly prior: readonly Unit[];
  readonly contextTokens: number;
  readonly signal: AbortSignal;
  readonly onUnits: OnUnits;
  /** What llama.cpp has counted of a `deltas` answer, before its units; of a `body` that is broken off, before that. */
  readonly onCounted?: (counted: Counted) => void;
};

/**
 * Lets llama.cpp say the rest of a reply.
 * @throws BackendError when llama.cpp did not; the signal's reason when it was aborted
 */
export function generate(http: LlamaHttp, generation: Generation): Promise<Finished> {
  const { call } = generation;
  switch (call.mode) {
    case 'tokens':
      return generateTokens(http, generation, call);
    case 'deltas':
      return readDeltas(http, call, generation);
    case 'body':
      return readBody(http, call, generation);
  }
}

type TokensCall = Extract<Call, { mode: 'tokens' }>;

async function generateTokens(http: LlamaHttp, generation: Generation, call: TokensCall): Promise<Finished> {
  const { prior, signal } = generation;
  const source = await templated(http, call, signal);
  // llama.cpp says one token when it is asked for none.
  if (call.maxTokens !== undefined && call.maxTokens <= prior.length) {
    const promptTokens = (await idsOf(http, source, signal)).length;
    return { finish: 'length', usage: { promptTokens, completionTokens: prior.length } };
  }
  const prompt = prior.length === 0 ? source : [...(await idsOf(http, source, signal)), ...unitIds(prior)];
  const body = completionBody(call, prompt, prior.length, generation.contextTokens);
  return readTokens(http, body, generation);
}

/** The prompt as text, or the ids that the client gave. */
async function templated(
  http: LlamaHttp,
  { source }: TokensCall,
  signal: AbortSignal,
): Promise<string | readonly number[]> {
  switch (source.kind) {
    case 'chat':
      return (await http.post('/apply-template', source.template, templateAnswer, signal)).prompt;
    case 'text':
      return source.text;
    case 'ids':
      return source.ids;
  }
}

/** The same ids that `/completion` makes of a prompt text by itself. */
async function idsOf(
  http: LlamaHttp,
  prompt: string | readonly number[],
  signal: AbortSignal,
): Promise<readonly number[]> {
  if (typeof prompt !== 'string') return prompt;
  const body = { content: prompt, add_special: true, parse_special: true };
  return (await http.post('/tokenize', body, tokenizeAnswer, signal)).tokens;
}

const unitIds = (units: readonly Unit[]): number[] =>
  units.flatMap((unit) => (unit.k === 'token' ? [unit.id] : []));
