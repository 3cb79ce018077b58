import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiErrors } from '@drover/runtime';
import { type Event, type LedgerRecord, ledgerRecord, type Portion, subjects } from '@drover/schemas';
import { JetStreamApiError, type PubAck } from '@nats-io/jetstream';
import fc from 'fast-check';
import { chargeFor } from '../core/settle.ts';
import { settleMessage } from './settler.ts';

/** What may go wrong around one delivery: before the record is stored, after it, or on the way of the ack. */
type Fault = 'none' | 'dies-before-publish' | 'answer-is-lost' | 'dies-before-ack' | 'ack-is-lost';

type Stored = { readonly subject: string; readonly data: Uint8Array };

/** A stream of events and a ledger that keep JetStream's promises, in memory. */
class FakeHub {
  readonly ledger = new Map<string, LedgerRecord>();
  readonly #unacked: Stored[];
  deliveries = 0;

  constructor(events: readonly Stored[]) {
    this.#unacked = [...events];
  }

  get settled(): boolean {
    return this.#unacked.length === 0;
  }

  /** Delivers each event that is not acknowledged to a settler of its own, which may die at any step. */
  async round(faultOf: () => Fault): Promise<void> {
    await Promise.all([...this.#unacked].map((stored) => this.#deliver(stored, faultOf())));
  }

  async #deliver(stored: Stored, fault: Fault): Promise<void> {
    this.deliveries++;
    let dead = false;
    const publish = async (subject: string, data: unknown): Promise<PubAck> => {
      if (fault === 'dies-before-publish') dead = true;
      if (dead) throw new Error('dead');
      if (this.ledger.has(subject))
        throw new JetStreamApiError({
          code: 400,
          err_code: apiErrors.wrongLastSequence,
          description: 'wrong last sequence',
        });
      this.ledger.set(subject, ledgerRecord.parse(JSON.parse(String(data))));
      if (fault === 'answer-is-lost') throw new Error('timeout');
      if (fault === 'dies-before-ack') dead = true;
      return { stream: 'LLM_LEDGER', domain: '', seq: this.ledger.size, duplicate: false };
    };
    await settleMessage(
      { publish },
      {
        ...stored,
        headers: undefined,
        time: new Date(7),
        ack: () => {
          if (dead || fault === 'ack-is-lost') return;
          this.#unacked.splice(this.#unacked.indexOf(stored), 1);
        },
        nak: () => {},
      },
      { onSettled: () => {}, onTrouble: () => {} },
    );
  }
}

const anyPortion = fc.record<Portion>(
  {
    cluster: fc.constantFrom('aws', 'gcp'),
    attempt: fc.integer({ min: 1, max: 5 }),
    promptTokens: fc.nat(4_000),
    completionTokens: fc.nat(4_000),
    usdPer1k: fc.double({ min: 0.0001, max: 0.01, noNaN: true }),
    usdPer1kPrompt: fc.double({ min: 0.00001, max: 0.02, noNaN: true }),
  },
  { noNullPrototype: true },
);
const anyFault = fc.constantFrom<Fault>(
  'none',
  'dies-before-publish',
  'answer-is-lost',
  'dies-before-ack',
  'ack-is-lost',
);

const endedOf = (metered: Portion[]): Event => ({
  v: 1,
  state: 'ended',
  attempt: 1,
  atMs: 0,
  outcome: { status: 'cancelled', units: 0 },
  metered,
});
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

test('wherever settlers die, every ended request gets exactly one record, and the sum is that of its tokens', async () => {
  const anyRequests = fc.array(fc.array(anyPortion, { maxLength: 3 }), { minLength: 1, maxLength: 12 });
  const anyFaults = fc.infiniteStream(anyFault);
  await fc.assert(
    fc.asyncProperty(anyRequests, anyFaults, async (requests, faults) => {
      const events = requests.map((metered, index) => ({
        subject: subjects.event('aws', 't1', `r${index}`),
        data: bytes(endedOf(metered)),
      }));
      const hub = new FakeHub(events);
      // After some rounds of faults the world behaves, as it does in the end.
      for (let round = 0; !hub.settled; round++)
        await hub.round(() => (round < 4 ? (faults.next().value ?? 'none') : 'none'));
      assert.deepEqual(
        [...hub.ledger.keys()].sort(),
        requests.map((_, index) => subjects.ledger('t1', `r${index}`)).sort(),
      );
      for (const [index, metered] of requests.entries()) {
        const record = hub.ledger.get(subjects.ledger('t1', `r${index}`));
        const expected = metered.reduce((sum, portion) => sum + (chargeFor(portion) ?? Number.NaN), 0);
        assert.equal(record?.usd, expected);
        assert.deepEqual(
          record?.portions.map(({ usd: _, ...portion }) => portion),
          metered,
        );
      }
    }),
    { numRuns: 60 },
  );
});

test('events that are no ends, and messages that are no events, are acknowledged and cost nothing', async () => {
  const running = { v: 1, state: 'running', agent: 'a', attempt: 1, atMs: 0 };
  const others = [
    bytes(running),
    bytes({ stream: 'LLM_REQUESTS', seq: 3 }),
    new TextEncoder().encode('no JSON'),
  ];
  const hub = new FakeHub(others.map((data) => ({ subject: subjects.event('aws', 't1', 'r1'), data })));
  await hub.round(() => 'none');
  assert.ok(hub.settled);
  assert.equal(hub.ledger.size, 0);
});
