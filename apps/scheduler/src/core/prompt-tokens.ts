import type { Request } from '@drover/schemas';

/** English text has a little more than four bytes per token; only the backend can count. */
const bytesPerToken = 4;

/** Prompt tokens of a request: exact for token ids, otherwise estimated as bytes of text ÷ 4, rounded up. */
export function promptTokens(request: Request): number {
  switch (request.endpoint) {
    case 'chat': {
      const tools = request.body.tools ? bytesOf(JSON.stringify(request.body.tools)) : 0;
      const messages = request.body.messages.reduce((sum, { content }) => sum + contentBytes(content), 0);
      return Math.ceil((messages + tools) / bytesPerToken);
    }
    case 'completion':
      return inputTokens(request.body.prompt);
    case 'embedding':
      return inputTokens(request.body.input);
    default:
      return request satisfies never;
  }
}

const bytesOf = (text: string): number => Buffer.byteLength(text);

function contentBytes(content: string | readonly Record<string, unknown>[] | null | undefined): number {
  if (content === null || content === undefined) return 0;
  if (typeof content === 'string') return bytesOf(content);
  return content.reduce((sum, { text }) => sum + (typeof text === 'string' ? bytesOf(text) : 0), 0);
}

type Input = string | number | readonly (string | number | readonly number[])[];

function inputTokens(input: Input): number {
  if (typeof input === 'string') return Math.ceil(bytesOf(input) / bytesPerToken);
  if (typeof input === 'number') return 1;
  return input.reduce<number>(
    (sum, part) => sum + (Array.isArray(part) ? part.length : inputTokens(part as string | number)),
    0,
  );
}
