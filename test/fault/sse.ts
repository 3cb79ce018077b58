/** One server-sent event as far as Drover uses them: `id` begins with the number of units that the reader has with it. */
export type SseEvent = { readonly id: string | undefined; readonly data: string };

/** Cuts the text of an event stream into events; comments and half events are kept back. */
export class SseParser {
  #text = '';

  push(text: string): SseEvent[] {
    this.#text += text;
    const blocks = this.#text.split('\n\n');
    this.#text = blocks.pop() ?? '';
    return blocks.flatMap((block) => {
      const event = parse(block);
      return event === undefined ? [] : [event];
    });
  }
}

function parse(block: string): SseEvent | undefined {
  let id: string | undefined;
  let data: string | undefined;
  for (const line of block.split('\n')) {
    if (line.startsWith('id: ')) id = line.slice(4);
    if (line.startsWith('data: ')) data = line.slice(6);
  }
  return data === undefined ? undefined : { id, data };
}
