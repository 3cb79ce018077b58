import type { Request } from '@drover/schemas';

/** One link of the chain stands for this much text; shorter beginnings are not worth a detour. */
const windowChars = 256;
/** About how many tokens that is. */
export const tokensPerWindow = windowChars / 4;
/** Longer beginnings are not told apart. */
const windowsMax = 64;

/**
 * Hashes of the first 256, 512, … characters of a prompt, each chained on the one before: two prompts share as many links
 * as they share windows from the start. A conversation's next turn begins like the turn before it, so this also finds
 * the session. Hashes, because what is kept of a prompt must not be readable.
 */
export function prefixOf(request: Request): readonly string[] {
  const text = textOf(request);
  const windows = Math.min(windowsMax, Math.floor(text.length / windowChars));
  const chain: string[] = [];
  let one = 0x811c9dc5;
  let two = 0x01000193;
  for (let index = 0; index < windows * windowChars; index++) {
    const code = text.charCodeAt(index);
    one = Math.imul(one ^ code, 0x01000193);
    two = Math.imul(two ^ code, 0x85ebca6b);
    if ((index + 1) % windowChars === 0)
      chain.push(`${(one >>> 0).toString(36)}-${(two >>> 0).toString(36)}`);
  }
  return chain;
}

function textOf(request: Request): string {
  switch (request.endpoint) {
    case 'chat':
      return request.body.messages
        .map(
          ({ role, content }) =>
            `${role}\n${typeof content === 'string' ? content : JSON.stringify(content)}\n`,
        )
        .join('');
    case 'completion':
      return typeof request.body.prompt === 'string'
        ? request.body.prompt
        : JSON.stringify(request.body.prompt);
    case 'embedding':
      // An embedding leaves nothing in the cache that another prompt could use.
      return '';
    default:
      return request satisfies never;
  }
}
