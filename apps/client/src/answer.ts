import { DroverError, type OpenReply, type Outcome, type Unit } from '@drover/schemas';
import { Channel } from './channel.ts';
import type { Submission } from './reader.ts';

/** The reply to one request, read as it comes: `for await (const text of answer) …`, once. */
export type Answer = AsyncIterable<string> & {
  readonly id: string;
  /** Resolves when the request is stored: from then on it will have an outcome. */
  readonly accepted: Promise<void>;
  /** Who answers, with its model, price and times; undefined until the answer begins. */
  readonly open: OpenReply | undefined;
  /** The number of the next unit that the iteration will hand out: where `attach` goes on. */
  readonly nextUnit: number;
  /** Instead of text: every unit, with token ids, or the choices of each chunk (tools, several choices). */
  readonly units: AsyncIterable<Unit>;
  /**
   * How the request ended, whatever that is. Rejects when this reader does not learn it: refused, aborted, left.
   */
  readonly outcome: Promise<Outcome>;
  /** Reads everything that is left. @throws as the iteration does */
  text(): Promise<string>;
  /** Tells the fleet that nobody wants the answer; the iteration then throws `cancelled`. */
  cancel(): void;
  /** Stops reading, and the iteration throws an AbortError. The request goes on; `attach` reads it again. */
  close(): void;
};

export type ReadingOptions = {
  readonly id: string;
  /** The first unit of the reply that is wanted. */
  readonly from: number;
  readonly signal?: AbortSignal | undefined;
  /** Whether to leave the loop, or to abort, means that nobody wants the answer. */
  readonly cancelOnLeave: boolean;
};

/**
 * Reads one submission to its end and hands it out. Every way to an end passes through `#finish`, once: the outcome, a
 * refusal, an abort, or a reader that left.
 */
export class Reading implements Answer {
  readonly id: string;
  readonly accepted: Promise<void>;
  readonly outcome: Promise<Outcome>;
  readonly units: AsyncIterable<Unit>;
  open: OpenReply | undefined;
  nextUnit: number;
  readonly #options: ReadingOptions;
  readonly #channel = new Channel<Unit>();
  readonly #accepted = Promise.withResolvers<void>();
  readonly #outcome = Promise.withResolvers<Outcome>();
  #submission: Submission | undefined;
  #cancelWhenAccepted = false;
  #finished = false;
  /** Thrown when what was read has been handed out. */
  #failure: unknown;
  /** Thrown at once: the reader wants nothing more. */
  #left: unknown;
  readonly #onAbort = () => this.#leave(this.#options.signal?.reason);

  constructor(options: ReadingOptions, start: () => Promise<Submission>) {
    this.#options = options;
    this.id = options.id;
    this.nextUnit = options.from;
    this.accepted = this.#accepted.promise;
    this.outcome = this.#outcome.promise;
    // Whoever only iterates need not look at the promises: the iteration throws the same.
    this.accepted.catch(() => {});
    this.outcome.catch(() => {});
    this.units = { [Symbol.asyncIterator]: () => this.#iterate() };
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (options.signal?.aborted) this.#leave(options.signal.reason);
    else void this.#read(start);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for await (const unit of this.units) {
      const text = textOf(unit);
      if (text !== '') yield text;
    }
  }

  async text(): Promise<string> {
    let whole = '';
    for await (const text of this) whole += text;
    return whole;
  }

  cancel(): void {
    if (this.#finished) return;
    if (this.#submission) this.#submission.cancel();
    else this.#leave(new DroverError('cancelled', 'The request was cancelled before it was accepted.'), true);
  }

  close(): void {
    this.#leave(
      new DOMException('The reader was closed before the answer was complete.', 'AbortError'),
      false,
    );
  }

  async #read(start: () => Promise<Submission>): Promise<void> {
    try {
      const submission = await start();
      this.#submission = submission;
      this.#accepted.resolve();
      if (this.#finished) return this.#let(submission);
      for await (const event of submission.events) {
        if (event.kind === 'open') this.open = event.open;
        else if (event.kind === 'units') for (const unit of event.units) this.#channel.push(unit);
        else if (event.kind === 'end') this.#end(event.outcome);
      }
    } catch (error) {
      this.#accepted.reject(error);
      this.#failure = error;
      this.#finish(() => this.#outcome.reject(error));
    }
  }

  #end(outcome: Outcome): void {
    this.#failure = failureOf(outcome);
    this.#finish(() => this.#outcome.resolve(outcome));
  }

  #leave(reason: unknown, cancel = this.#options.cancelOnLeave): void {
    this.#finish(() => {
      this.#left = reason;
      this.#cancelWhenAccepted = cancel;
      this.#outcome.reject(reason);
      this.#accepted.reject(reason);
      if (this.#submission) this.#let(this.#submission);
    });
  }

  /** A submission that nobody reads any more. */
  #let(submission: Submission): void {
    if (this.#cancelWhenAccepted) submission.cancel();
    submission.close();
  }

  #finish(how: () => void): void {
    if (this.#finished) return;
    this.#finished = true;
    how();
    this.#channel.end();
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
  }

  async *#iterate(): AsyncGenerator<Unit> {
    try {
      for await (const unit of this.#channel) {
        if (this.#left !== undefined) throw this.#left;
        this.nextUnit++;
        yield unit;
      }
      const failure = this.#left ?? this.#failure;
      if (failure !== undefined) throw failure;
    } finally {
      // A loop that was left early; nothing else gets here before the end.
      this.#leave(new DOMException('The reader left before the answer was complete.', 'AbortError'));
    }
  }
}

/** What an unsuccessful outcome throws; undefined for a successful one. */
function failureOf(outcome: Outcome): DroverError | undefined {
  switch (outcome.status) {
    case 'done':
      return undefined;
    case 'failed':
      return new DroverError(outcome.code, outcome.message, {
        ...(outcome.retryAfterMs === undefined ? {} : { retryAfterSeconds: outcome.retryAfterMs / 1_000 }),
      });
    case 'cancelled':
      return new DroverError('cancelled', 'The request was cancelled.');
  }
}

/** The text that a unit adds to the first choice; '' for one that adds none (a role, half a character, a tool call). */
export function textOf(unit: Unit): string {
  switch (unit.k) {
    case 'token':
      return unit.t;
    case 'body':
      return unit.t;
    case 'delta':
      return unit.choices.map(deltaText).join('');
  }
}

type Fields = Readonly<Record<string, unknown>>;
const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

function deltaText(choice: unknown): string {
  if (!isFields(choice) || (choice.index ?? 0) !== 0) return '';
  const text = isFields(choice.delta) ? choice.delta.content : choice.text;
  return typeof text === 'string' ? text : '';
}
