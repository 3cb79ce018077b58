import type { Nats } from '@drover/runtime';
import type { Request } from '@drover/schemas';
import { command, confirm, readNumber } from '../command.ts';
import { requestIn, retried } from '../core/retry.ts';
import { CliError } from '../errors.ts';
import { listDeadLetters, type OpenedLetter, openDeadLetter, resubmit } from '../nats/dead-letters.ts';

const requestsMax = 1_000;

type Retry = { readonly opened: OpenedLetter; readonly request: Request };

/** Submits dead letters again, each under a new id, because the old one has its outcome. */
export const deadRetry = command({
  name: 'dead retry',
  usage: '<request>… | --all [--reason <reason>]  [--seq <n>] [--within-s <seconds>] [--yes] [--json]',
  summary: 'submits dead letters again under new ids, and deletes them once they are stored',
  options: {
    json: { type: 'boolean' },
    yes: { type: 'boolean' },
    all: { type: 'boolean' },
    reason: { type: 'string' },
    seq: { type: 'string' },
    'within-s': { type: 'string' },
  },
  positionals: [0, requestsMax],
  run: async ({ values, positionals }, { io, connect }) => {
    if ((values.all === true) === positionals.length > 0)
      throw new CliError('usage', 'name requests, or say --all');
    if (values.seq !== undefined && positionals.length !== 1)
      throw new CliError('usage', '--seq names the letter of one request');
    if (values.reason !== undefined && !values.all) throw new CliError('usage', '--reason goes with --all');
    const seq = values.seq === undefined ? undefined : readNumber('--seq', values.seq, 1);
    const within = values['within-s'];
    const withinMs = within === undefined ? undefined : readNumber('--within-s', within, 1) * 1_000;
    const nats = await connect();
    const opened = values.all
      ? await openAll(nats, values.reason)
      : await Promise.all(positionals.map((request) => openDeadLetter(nats, request, seq)));
    const retries = opened.map((one) => retryOf(one, withinMs));
    const what = retries.length === 1 ? 'this request' : `these ${retries.length} requests`;
    if (retries.length > 0) await confirm(io, `Submit ${what} again?`, values.yes);
    const done: { readonly request: string; readonly retriedAs: string }[] = [];
    for (const { opened: one, request } of retries) {
      await resubmit(nats, one, request);
      done.push({ request: one.letter.request, retriedAs: request.id });
      if (!values.json) io.out(`${one.letter.request} is submitted again as ${request.id}`);
    }
    if (values.json) io.out(JSON.stringify(done));
    else if (done.length === 0) io.out('There is no dead letter to retry.');
  },
});

/** Those that can be retried; the others stay, and `dead list` shows them. */
async function openAll(nats: Nats, reason: string | undefined): Promise<OpenedLetter[]> {
  const opened: OpenedLetter[] = [];
  for (const { request, seq } of (await listDeadLetters(nats, reason)).slice(0, requestsMax)) {
    const one = await openDeadLetter(nats, request, seq);
    if (requestIn(contentOf(one)) !== undefined) opened.push(one);
  }
  return opened;
}

function retryOf(opened: OpenedLetter, withinMs: number | undefined): Retry {
  const { letter } = opened;
  const request = requestIn(contentOf(opened));
  if (request === undefined)
    throw new CliError('not_retryable', `${letter.request} holds no valid request (${letter.problem})`);
  return { opened, request: retried(request, { seq: letter.seq, nowMs: Date.now(), withinMs }) };
}

function contentOf({ data }: OpenedLetter): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    return undefined;
  }
}
