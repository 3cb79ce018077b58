import { maxReplySliceBytes } from '@drover/schemas';

/** No character of JSON text takes more than 4 bytes in a JSON string: `"` and `\` take 2, all others their UTF-8. */
const sliceChars = maxReplySliceBytes / 4;

/** Pure. Cuts a JSON text into slices that fit into one message each, never inside a character. */
export function slicesOf(text: string): string[] {
  const slices: string[] = [];
  for (let start = 0; start < text.length; ) {
    let end = Math.min(text.length, start + sliceChars);
    if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end--;
    slices.push(text.slice(start, end));
    start = end;
  }
  return slices;
}

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdbff;
