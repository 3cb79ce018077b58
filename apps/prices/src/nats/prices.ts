import { apiErrors, isApiError, type Nats } from '@drover/runtime';
import { buckets, natsHeaders, parseMessage, type Tariff, tariff } from '@drover/schemas';
import type { Current } from '../core/judge.ts';

/** The bucket as a stream: reading and writing with compare-and-set needs no more than that. */
const stream = `KV_${buckets.prices.name}`;
const subject = (cluster: string): string => `$KV.${buckets.prices.name}.${cluster}`;

/** A price as it stands, and its revision. `current` is absent for none, a deleted one, and one that does not parse. */
export type Standing = { readonly revision: number; readonly current?: Current };

/** Where prices stand; the bucket LLM_PRICES, or a copy of its answers in a test. */
export type Book = {
  read(cluster: string): Promise<Standing>;
  /** False when somebody else has written since `revision`. */
  write(cluster: string, value: Tariff, revision: number): Promise<boolean>;
};

/** @throws what JetStream throws when it does not answer */
export const natsBook = (nats: Nats): Book => ({
  read: async (cluster) => {
    const last = await nats.jsm.direct.getMessage(stream, { last_by_subj: subject(cluster) });
    if (last === null) return { revision: 0 };
    const revision = last.seq;
    if (last.header.get('KV-Operation') !== '') return { revision };
    const parsed = parseMessage<Tariff>(tariff, last.data);
    if (!parsed.ok) return { revision };
    // Only people say who they are: the command line does it for them.
    const by = last.header.get(natsHeaders.by);
    return { revision, current: { tariff: parsed.value, ...(by === '' ? {} : { by }) } };
  },
  write: async (cluster, value, revision) => {
    try {
      await nats.js.publish(subject(cluster), JSON.stringify(value), {
        expect: { lastSubjectSequence: revision },
      });
      return true;
    } catch (error) {
      if (isApiError(error, apiErrors.wrongLastSequence)) return false;
      throw error;
    }
  },
});
