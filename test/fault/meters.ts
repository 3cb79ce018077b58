const everyMs = 2_000;
const counter = /^drover_agent_claims_lost_total(?:\{[^}]*\})? (\d+)/m;

/**
 * Adds up how often agents were refused because somebody else owned the request by then. A counter starts again with its
 * process, so what was counted between the last look and a kill is not seen: the sum is a lower bound.
 */
export class Meters implements Disposable {
  readonly #urls: ReadonlyMap<string, string>;
  readonly #last = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #sum = 0;

  constructor(urls: ReadonlyMap<string, string>) {
    this.#urls = urls;
    this.#timer = setInterval(() => void this.#look(), everyMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** The sum, after a last look. */
  async total(): Promise<number> {
    await this.#look();
    return this.#sum;
  }

  async #look(): Promise<void> {
    await Promise.all([...this.#urls].map(([agent, url]) => this.#read(agent, url)));
  }

  async #read(agent: string, url: string): Promise<void> {
    try {
      const text = await (await fetch(url, { signal: AbortSignal.timeout(everyMs / 2) })).text();
      const now = Number(counter.exec(text)?.[1] ?? 0);
      const before = this.#last.get(agent) ?? 0;
      this.#sum += now < before ? now : now - before;
      this.#last.set(agent, now);
    } catch {
      // It is dead, or stands still: another time.
    }
  }
}
