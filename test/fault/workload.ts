import { createHash } from 'node:crypto';
import { type RequestId, requestId } from '@drover/schemas';
import { replyText, template } from '../support/fake-llama-text.ts';
import type { ClientKind, ClientRecord, Wish } from './history.ts';
import type { Random } from './random.ts';
import { modelName, tenant } from './seeds.ts';

/** One request, decided before anything is sent. */
export type Ask = {
  readonly id: RequestId;
  /** Sent with every try, so that a repeated submission joins the first. */
  readonly key: string;
  readonly kind: ClientKind;
  readonly wish: Wish;
  readonly prompt: string;
  readonly tokens: number;
  readonly continuable: boolean;
  readonly deadlineMs: number;
  /** How many units a client with the wish `cancel` takes, or one on NATS that leaves and comes back. */
  readonly leaveAfter: number;
  /** A producer on NATS that stops reading in the middle and follows its request again. */
  readonly comesBack: boolean;
};

const patientMs = 120_000;
const tokens = { from: 20, to: 60 };

/** What a real model is asked; its answers are learnt before anything is hit. */
export const realPrompts = [
  'Why is the sky blue?',
  'Name three rivers of Europe.',
  'What is a queue?',
  'Tell me about the moon.',
] as const;
const realTokens = 60;

/** Pure. The next request of a run, for a model that is real or fake. */
export function nextAsk(random: Random, run: string, n: number, llama: 'fake' | 'real'): Ask {
  const ask = fakeAsk(random, run, n);
  if (llama === 'fake') return ask;
  const prompt = realPrompts[n % realPrompts.length] ?? realPrompts[0];
  return { ...ask, prompt, tokens: realTokens, continuable: true };
}

function fakeAsk(random: Random, run: string, n: number): Ask {
  const key = `${run}-${n}`;
  const kind =
    random.weighted<ClientKind>([
      ['http-stream', 6],
      ['http-whole', 1],
      ['nats-stream', 3],
    ]) ?? 'http-stream';
  const wish: Wish =
    kind === 'http-whole'
      ? 'complete'
      : (random.weighted<Wish>([
          ['complete', 16],
          ['cancel', 1],
          ['expire', 1],
        ]) ?? 'complete');
  const length = random.between(tokens.from, tokens.to);
  return {
    id: requestId.parse(
      `req_chat_${createHash('sha256').update(`${tenant}\n${key}`).digest('hex').slice(0, 40)}`,
    ),
    key,
    kind,
    wish,
    prompt: `question ${key}`,
    tokens: length,
    continuable: !random.chance(0.06),
    deadlineMs: wish === 'expire' ? random.between(200, 1_000) : patientMs,
    leaveAfter: random.between(1, length),
    comesBack: kind === 'nats-stream' && random.chance(0.3),
  };
}

const messagesOf = (ask: Ask) => [{ role: 'user' as const, content: ask.prompt }];

/** The chat request as a client words it. */
export const bodyOf = (ask: Ask) => ({
  model: modelName,
  messages: messagesOf(ask),
  max_tokens: ask.tokens,
  temperature: 0,
  stream: ask.kind !== 'http-whole',
  ...(ask.continuable ? {} : { response_format: { type: 'json_object' } }),
});

/** The whole answer of the fake llama.cpp. */
export const fakeAnswer = (ask: Ask): string => replyText(template(messagesOf(ask)), ask.tokens);

export const recordOf = (ask: Ask, expected: string, sentAtMs: number): ClientRecord => ({
  id: ask.id,
  kind: ask.kind,
  wish: ask.wish,
  continuable: ask.continuable,
  expected,
  sentAtMs,
  attachments: [],
  heard: [],
});
