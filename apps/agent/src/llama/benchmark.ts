import type { Call } from '../core/call.ts';
import type { Finished } from '../core/finish.ts';
import { slotsAnswer } from './answers.ts';
import type { Backend } from './describe.ts';
import { generate } from './generate.ts';
import type { LlamaHttp } from './http.ts';
import type { Meter } from './meter.ts';

/** A word is about two tokens: a digit and its space. Different for each run so that nothing of it is cached. */
const promptWords = 32;
const tokensAlone = 60;
const tokensTogether = 40;
/** Alone it may take long on a slow machine: without a figure the scheduler could never choose this backend. */
const aloneMaxMs = 20_000;
const together = { totalMs: 3_000, leastMs: 500 };

/**
 * The first figures of a backend that has just started: one reply alone, then one in every slot. They are measured
 * like any other reply. Somebody else at work on this backend would spoil them: then nothing is measured.
 */
export async function benchmark(http: LlamaHttp, backend: Backend, meter: Meter): Promise<void> {
  if (!(await isIdle(http))) return;
  const startedMs = performance.now();
  await sayOne(http, backend, meter, tokensAlone, AbortSignal.timeout(aloneMaxMs));
  if (backend.slots === 1) return;
  const leftMs = Math.max(together.leastMs, together.totalMs - (performance.now() - startedMs));
  const signal = AbortSignal.timeout(Math.round(leftMs));
  await Promise.all(
    Array.from({ length: backend.slots }, () => sayOne(http, backend, meter, tokensTogether, signal)),
  );
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
  tokens: number,
  signal: AbortSignal,
): Promise<void> {
  const call = benchmarkCall(tokens);
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

function benchmarkCall(tokens: number): Call {
  const words = Array.from({ length: promptWords }, () => Math.floor(Math.random() * 9));
  return {
    mode: 'tokens',
    source: { kind: 'text', text: words.join(' ') },
    fields: { temperature: 0, ignore_eos: true, cache_prompt: false },
    maxTokens: tokens,
  };
}
