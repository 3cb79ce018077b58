import type { Finished } from '../core/finish.ts';
import { slicesOf } from '../core/slices.ts';
import { wholeAnswer } from '../core/whole.ts';
import { readDeltas } from './deltas.ts';
import type { Generation } from './generate.ts';
import type { LlamaHttp } from './http.ts';
import { jsonOf } from './json.ts';

type Body = Readonly<Record<string, unknown>>;
type Call = { readonly path: string; readonly body: Body };

const endpoints = { '/v1/chat/completions': 'chat', '/v1/completions': 'completion' } as const;
const isEndpoint = (path: string): path is keyof typeof endpoints => Object.hasOwn(endpoints, path);

/**
 * Whether the answer can be put together from a stream. Calls of tools are told in other pieces than in a whole answer, and
 * llama.cpp streams no tools together with logprobs; embeddings are not streamed.
 */
export const canAssemble = ({ path, body }: Call): boolean =>
  isEndpoint(path) && (body.tools ?? body.functions ?? null) === null;

/**
 * Asks for a stream and hands on the whole answer at its end. llama.cpp looks whether its client is still there only while it
 * streams: so that an answer that nobody wants any more frees its slot. @throws as `generate`
 */
export async function readAssembled(
  http: LlamaHttp,
  { path, body }: Call,
  generation: Generation,
): Promise<Finished> {
  const choices: Body[] = [];
  let first = '{}';
  let last = '{}';
  const asked = { ...body, stream: true, stream_options: { include_usage: true } };
  const finished = await readDeltas(
    http,
    { path, body: asked },
    {
      ...generation,
      onUnits: (units) => {
        for (const unit of units) if (unit.k === 'delta') choices.push(...unit.choices.map(fieldsIn));
      },
    },
    (data) => {
      if (first === '{}') first = data;
      last = data;
    },
  );
  const answer = wholeAnswer({
    endpoint: isEndpoint(path) ? endpoints[path] : 'chat',
    choices,
    first: fieldsOf(first),
    last: fieldsOf(last),
    usage: finished.usage,
  });
  generation.onUnits(slicesOf(JSON.stringify(answer)).map((t) => ({ k: 'body', t })));
  return finished;
}

const fieldsOf = (data: string): Body => fieldsIn(jsonOf(data));

const fieldsIn = (value: unknown): Body => (typeof value === 'object' && value !== null ? { ...value } : {});
