import type { Filter } from './filter.ts';

/**
 * The answer must come before the deadline: the whole of it if we have learned how long such answers are, otherwise its
 * first token. Refusing by an assumed length would refuse short answers that nobody has seen yet.
 */
export const deadlineMet: Filter = {
  code: 'deadline-too-close',
  permanent: false,
  refuses({ ask, prediction, nowMs }) {
    if (!prediction) return undefined;
    const remainingMs = ask.request.deadlineAtMs - nowMs;
    const neededMs = ask.estimate.outputBasis === 'learned' ? prediction.totalMs : prediction.ttftMs;
    return neededMs > remainingMs
      ? `needs about ${Math.round(neededMs)} ms, ${Math.round(remainingMs)} ms are left`
      : undefined;
  },
};
