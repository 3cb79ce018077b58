import { type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { httpHeaders } from '@drover/schemas';
import { z } from 'zod';
import type { Attachment, ClientRecord } from './history.ts';
import { SseParser } from './sse.ts';
import { type Ask, bodyOf } from './workload.ts';

export type Edges = {
  /** Name and URL of each ingress, in the order in which this client tries them. */
  readonly ingresses: readonly (readonly [string, string])[];
  readonly apiKey: string;
  /** When the run gives up waiting, wall clock. */
  readonly giveUpAtMs: () => number;
};

/** Comments come every 2 s while nothing else does: silence for this long is a dead connection. */
const silenceMs = { stream: 3_500, whole: 15_000 };
const retryMs = 60;

const chunk = z.looseObject({
  choices: z
    .array(z.looseObject({ delta: z.looseObject({ content: z.string().nullish() }).optional() }))
    .optional(),
  error: z.looseObject({ code: z.string().nullish() }).optional(),
});
const whole = z.looseObject({
  choices: z.array(z.looseObject({ message: z.looseObject({ content: z.string() }) })),
});
const failure = z.looseObject({ error: z.looseObject({ code: z.string().nullish() }) });

/**
 * Asks as a careful client library does: every try carries the same Idempotency-Key; once the request id is known, a
 * lost stream is taken up again by `Last-Event-ID`, at the next ingress. Resolves when the record has its end, or when
 * the run gives up.
 */
export async function askOverHttp(edges: Edges, ask: Ask, record: ClientRecord): Promise<void> {
  for (let turn = 0; record.end === undefined && Date.now() < edges.giveUpAtMs(); turn++) {
    const [via, url] = edges.ingresses[turn % edges.ingresses.length] ?? ['', ''];
    const attachment: Attachment = { atMs: Date.now(), via, from: unitsOf(record) };
    try {
      await once(url, edges, ask, record, attachment);
    } catch {
      attachment.closed = 'broken';
    }
    if (record.end === undefined) await sleep(retryMs);
  }
}

const unitsOf = ({ heard }: ClientRecord): number => (heard.at(-1)?.at ?? -1) + 1;

async function once(
  url: string,
  edges: Edges,
  ask: Ask,
  record: ClientRecord,
  attachment: Attachment,
): Promise<void> {
  const resume = record.acceptedAtMs !== undefined && ask.kind === 'http-stream';
  const response = await send(url, {
    method: resume ? 'GET' : 'POST',
    path: resume ? `/v1/requests/${ask.id}/stream` : '/v1/chat/completions',
    timeoutMs: ask.kind === 'http-whole' ? silenceMs.whole : silenceMs.stream,
    headers: {
      authorization: `Bearer ${edges.apiKey}`,
      ...(resume
        ? { 'last-event-id': record.lastEventId ?? '0' }
        : {
            'content-type': 'application/json',
            [httpHeaders.idempotencyKey]: ask.key,
            [httpHeaders.deadlineMs]: String(ask.deadlineMs),
          }),
    },
    ...(resume ? {} : { body: JSON.stringify(bodyOf(ask)) }),
  });
  record.attachments.push(attachment);
  if (response.statusCode !== 200) {
    takeFailure(record, response.statusCode ?? 0, await textOf(response));
    attachment.closed = 'ended';
    return;
  }
  if (ask.kind === 'http-whole') takeWhole(record, await textOf(response));
  else await takeStream(url, edges, ask, record, response);
  attachment.closed = record.end === undefined ? 'silent' : 'ended';
}

/** Not accepted, try again: what `Retry-After` means. Everything else is the outcome. */
function takeFailure(record: ClientRecord, status: number, text: string): void {
  const { error } = failure.parse(JSON.parse(text));
  const code = error.code ?? 'unknown';
  if (status === 429 || code === 'unavailable') return;
  record.acceptedAtMs ??= Date.now();
  record.end = endOf(code);
}

const endOf = (code: string): NonNullable<ClientRecord['end']> =>
  code === 'cancelled'
    ? { status: 'cancelled', atMs: Date.now() }
    : { status: 'failed', code, atMs: Date.now() };

function takeWhole(record: ClientRecord, text: string): void {
  const { choices } = whole.parse(JSON.parse(text));
  const atMs = Date.now();
  record.acceptedAtMs ??= atMs;
  record.heard.push({ atMs, at: 0, t: choices[0]?.message.content ?? '' });
  record.end = { status: 'done', atMs };
}

async function takeStream(
  url: string,
  edges: Edges,
  ask: Ask,
  record: ClientRecord,
  response: IncomingMessage,
): Promise<void> {
  record.acceptedAtMs ??= Date.now();
  const parser = new SseParser();
  let cancelled = false;
  response.setEncoding('utf8');
  for await (const text of response) {
    for (const { id, data } of parser.push(String(text))) take(record, id, data);
    if (ask.wish !== 'cancel' || cancelled || unitsOf(record) < ask.leaveAfter) continue;
    cancelled = true;
    await cancel(url, edges, ask);
  }
  // A response that was cut off ends its iteration by an error; this one ended in good order, or not.
  if (!response.complete) throw new Error('cut off');
}

function take(record: ClientRecord, id: string | undefined, data: string): void {
  const atMs = Date.now();
  if (data === '[DONE]') {
    record.end = { status: 'done', atMs };
    return;
  }
  const { choices, error } = chunk.parse(JSON.parse(data));
  if (error !== undefined) record.end = endOf(error.code ?? 'unknown');
  // The events around the units (the role, the finish_reason) have no number.
  else if (id !== undefined) {
    record.lastEventId = id;
    record.heard.push({ atMs, at: Number.parseInt(id, 10) - 1, t: choices?.[0]?.delta?.content ?? '' });
  }
}

/** Best effort, as the protocol says: the request may have ended, or the ingress died. */
async function cancel(url: string, edges: Edges, ask: Ask): Promise<void> {
  try {
    const response = await send(url, {
      method: 'POST',
      path: `/v1/requests/${ask.id}/cancel`,
      timeoutMs: silenceMs.stream,
      headers: { authorization: `Bearer ${edges.apiKey}` },
    });
    response.resume();
  } catch {
    // It then gets its whole answer.
  }
}

type Call = {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly body?: string;
};

/** A connection of its own for each call: none is found dead from before. */
function send(url: string, { method, path, headers, timeoutMs, body }: Call): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = request(new URL(path, url), { method, headers, agent: false, timeout: timeoutMs }, resolve);
    sent.on('timeout', () => sent.destroy(new Error('silent')));
    sent.on('error', reject);
    sent.end(body);
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const part of response) text += part;
  return text;
}
