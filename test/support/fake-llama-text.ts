/**
 * What the fake llama.cpp says: token `k` of a reply is a function of its prompt and `k`, so that a continuation from
 * any point equals the uninterrupted reply, and replies to different prompts can be told apart.
 *
 * Ids below 1,000,000 are characters of prompts. A reply token carries its letter (from the prompt) and its number:
 * 1,000,000 + letter × 10,000 + number says ` <letter><number>`. With `emojiEvery`, the last three of so many tokens
 * are one emoji together, whose first two ids are never sent, as llama.cpp does.
 */
const replyBase = 1_000_000;
const perLetter = 10_000;
const emojiBase = 2_000_000;
const emoji = '🙂';
const letters = 'abcdefghijklmnopqrstuvwxyz';

export type FakeToken = {
  readonly id: number;
  /** Empty for a token that ends inside a character. */
  readonly text: string;
  readonly sent: boolean;
};

/** The letter of a prompt, and how many tokens of a reply it already holds. */
export type FakePrompt = { readonly letter: number; readonly said: number; readonly length: number };

export function readPrompt(prompt: string | readonly number[]): FakePrompt {
  const ids = typeof prompt === 'string' ? tokenize(prompt) : prompt;
  let length = ids.length;
  while (length > 0 && (ids[length - 1] ?? 0) >= replyBase) length--;
  let hash = 7;
  for (const id of ids.slice(0, length)) hash = (hash * 31 + id) % 1_000_003;
  return { letter: hash % letters.length, said: ids.length - length, length };
}

export function replyToken(prompt: FakePrompt, position: number, emojiEvery: number): FakeToken {
  if (emojiEvery >= 4) {
    const part = (position % emojiEvery) - (emojiEvery - 3);
    if (part >= 0) return { id: emojiBase + part, text: part === 2 ? emoji : '', sent: part === 2 };
  }
  const id = replyBase + prompt.letter * perLetter + (position % perLetter);
  return { id, text: textOf(id), sent: true };
}

/** The whole text of a reply of so many tokens; an emoji that the length cuts is left out. */
export function replyText(prompt: string, tokens: number, emojiEvery = 0): string {
  const read = readPrompt(prompt);
  let text = '';
  for (let position = 0; position < tokens; position++) text += replyToken(read, position, emojiEvery).text;
  return text;
}

/** Reply texts become the ids they were made of; every other character is one id. */
export function tokenize(content: string): number[] {
  const ids: number[] = [];
  for (const [part, letter, number] of content.matchAll(/ ([a-z])(\d+)(?!\w)|🙂|[\s\S]/gu)) {
    if (letter !== undefined) ids.push(replyBase + letters.indexOf(letter) * perLetter + Number(number));
    else if (part === emoji) ids.push(emojiBase, emojiBase + 1, emojiBase + 2);
    else ids.push((part.codePointAt(0) ?? 0) % replyBase);
  }
  return ids;
}

export const detokenize = (ids: readonly number[]): string => ids.map(textOf).join('');

function textOf(id: number): string {
  if (id >= emojiBase) return id === emojiBase + 2 ? emoji : '';
  if (id < replyBase) return String.fromCodePoint(id);
  return ` ${letters[Math.floor((id - replyBase) / perLetter)]}${(id - replyBase) % perLetter}`;
}

/** The prompt that `/apply-template` makes of messages. */
export const template = (messages: readonly { role: string; content?: unknown }[]): string =>
  `${messages.map(({ role, content }) => `<${role}>${contentText(content)}`).join('')}<assistant>`;

const contentText = (content: unknown): string =>
  typeof content === 'string' ? content : JSON.stringify(content ?? '');
