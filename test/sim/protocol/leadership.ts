import { natsHeaders } from '@drover/schemas';
import { z } from 'zod';
import type { Violation } from './history.ts';
import type { Stored } from './hub/stream.ts';
import type { SimProcess } from './process.ts';

const claimed = z.object({ claim: z.string() });

/** Who has the duty of scaling, by the lease as it is stored. */
type Leader = { readonly claim: string; readonly token: number; readonly process: SimProcess | undefined };

/** Looks at the lease and at what leaders say under it. */
export class Leadership {
  leader: Leader | undefined;
  claims = 0;
  /** Writes that came after somebody else had the lease, where no later leader had written: they do no harm. */
  lateWrites = 0;
  /** The latest token of each process. */
  readonly #tokens = new Map<SimProcess, number>();
  /** The token of the message that is stored on each subject. */
  readonly #wakes = new Map<string, { readonly seq: number; readonly token: number }>();
  readonly #violated: (invariant: Violation['invariant'], detail: string) => void;

  constructor(violated: (invariant: Violation['invariant'], detail: string) => void) {
    this.#violated = violated;
  }

  onLease({ seq, data, headers, by }: Stored): void {
    if (headers?.get('KV-Operation') || headers?.get('Nats-Marker-Reason')) {
      this.leader = undefined;
      return;
    }
    const { claim } = claimed.parse(JSON.parse(new TextDecoder().decode(data)));
    if (claim === this.leader?.claim) return;
    if (this.leader)
      this.#violated(
        'one-leader-at-a-time',
        `${by?.name} took the lease while ${this.leader.process?.name} had it`,
      );
    this.claims++;
    this.leader = { claim, token: seq, process: by };
    if (by) this.#tokens.set(by, seq);
  }

  /** The server has dropped the lease because its life is over. */
  onLeaseExpired(): void {
    this.leader = undefined;
  }

  onWake({ seq, subject, headers, by }: Stored): void {
    const token = Number(headers?.get(natsHeaders.fence));
    const before = this.#wakes.get(subject);
    if (before && before.token > token)
      this.#violated(
        'deposed-leader-changes-nothing',
        `${by?.name} wrote ${subject} under ${token} over what was said under ${before.token}`,
      );
    if (this.leader && token < this.leader.token) this.lateWrites++;
    this.#wakes.set(subject, { seq, token });
  }

  onWakeRemoved({ seq, subject, headers }: Stored, by: SimProcess): void {
    const token = Number(headers?.get(natsHeaders.fence));
    const own = this.#tokens.get(by) ?? 0;
    if (token > own)
      this.#violated(
        'deposed-leader-changes-nothing',
        `${by.name} removed ${subject} under ${own}, which was said under ${token}`,
      );
    this.onWakeExpired(subject, seq);
  }

  onWakeExpired(subject: string, seq: number): void {
    if (this.#wakes.get(subject)?.seq === seq) this.#wakes.delete(subject);
  }
}
