import { setTimeout as sleep } from 'node:timers/promises';
import type { Call } from '../core/call.ts';
import type { Finished } from '../core/finish.ts';
import { slotsAnswer } from './answers.ts';
import { BackendError } from './backend-error.ts';
import type { Backend } from './describe.ts';
import { generate } from './generate.ts';
import type { LlamaHttp } from './http.ts';
import type { Meter } from './meter.ts';

/** Alone: a prompt of about 64 tokens (a word is a digit and its space), and enough tokens for a figure. */
const alone = { words: 32, tokens: 60 };
/** In every slot: the prompt is measured already; more tokens than a figure needs, as not all begin at once. */
const together = { words: 4, tokensOfAll: 100, tokensMin: 24 };
/**
 * Without any figure the scheduler could never choose this backend, so a slow machine gets its time. One that has come
 * back has its old figures, which the first jobs correct.
 */
const aloneMaxMs = { first: 20_000, again: 1_500 };
const aloneRoundsMax = 5;
const totalMs = 3_000;
const togetherMinMs = 1_500;
const idleMaxMs = 3_000;

/**
 * The first figures of a backend that has just started: one reply alone, then one in every slot. They are measured
 * like any other reply. Somebody else at work on this backend spoils them a little: that is waited out for a moment,
 * but a poor figure, which the first jobs correct, is better than none.
 *
 * @throws BackendError when there is no figure in the end, or the backend broke
 */
export async function benchmark(http: LlamaHttp, backend: Backend, meter: Meter): Promise<void> {
  const giveUpMs = performance.now() + idleMaxMs;
  while (!(await isIdle(http)) && performance.now() < giveUpMs) await sleep(100);
  const startedMs = performance.now();
  const say = (words: number, tokens: number, signal: AbortSignal) =>
    sayOne(http, backend, meter, benchmarkCall(words, tokens), signal);
  const aloneMs = meter.figures.rates?.decode.length ? aloneMaxMs.again : aloneMaxMs.first;
  // On a machine that is busy with other things one reply may be too short for a figure; what it showed is not lost.
  for (let round = 0; round < aloneRoundsMax; round++) {
    await say(alone.words, alone.tokens, AbortSignal.timeout(aloneMs));
    if (isMeasured(meter)) break;
  }
  // Nobody could ever choose it, and no job would come to measure it by.
  if (!isMeasured(meter)) throw new BackendError({ kind: 'down', message: 'too slow to be measured' });
  const { slots } = backend;
  if (slots === 1) return;
  const leftMs = Math.max(togetherMinMs, totalMs - (performance.now() - startedMs));
  const signal = AbortSignal.timeout(Math.round(leftMs));
  const tokens = Math.max(together.tokensMin, Math.ceil(together.tokensOfAll / slots));
  await Promise.all(Array.from({ length: slots }, () => say(together.words, tokens, signal)));
}

function isMeasured(meter: Meter): boolean {
  const { rates } = meter.figures;
  return rates?.prefillTps !== undefined && rates.decode.length > 0;
}

async function isIdle(http: LlamaHttp): Promise<boolean> {
  try {
    const slots = await http.get('/slots', slotsAnswer, 1_000);
    return slots.every((slot) => !slot.is_processing);
  } catch {
    // `/slots` can be switched off; nobody else is the normal case.
    return true;
  }
}

/** @throws BackendError; running out of time only ends the measurement */
async function sayOne(
  http: LlamaHttp,
  backend: Backend,
  meter: Meter,
  call: Call,
  signal: AbortSignal,
): Promise<void> {
  const reply = meter.begin(call);
  let finished: Finished | undefined;
  try {
    finished = await generate(http, {
      call,
      prior: [],
      contextTokens: backend.model.contextTokens,
      signal,
      onUnits: (units) => reply.said(units.length),
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    reply.over(finished?.timings);
  }
}

/** The prompt is another one each time, so that nothing of it is cached. */
function benchmarkCall(words: number, tokens: number): Call {
  const digits = Array.from({ length: words }, () => Math.floor(Math.random() * 10));
  return {
    mode: 'tokens',
    source: { kind: 'text', text: digits.join(' ') },
    fields: { temperature: 0, ignore_eos: true, cache_prompt: false },
    maxTokens: tokens,
  };
}
