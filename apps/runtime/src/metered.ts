import { meter, type Portion, parseMessage, reply, streams, subjects, Transcript } from '@drover/schemas';
import type { Nats } from './nats.ts';
import { readSubject } from './read-subject.ts';

/**
 * Who has said which tokens of a reply that nobody will go on with; undefined when that is not known any more (replies are
 * kept for ten minutes).
 */
export async function readMetered(nats: Nats, tenant: string, id: string): Promise<Portion[] | undefined> {
  try {
    const transcript = new Transcript();
    for (const { data } of await readSubject(nats, streams.replies.name, subjects.reply('*', tenant, id))) {
      const parsed = parseMessage(reply, data);
      if (parsed.ok) transcript.accept(parsed.value);
    }
    return meter(transcript);
  } catch {
    // An outcome must not wait for its account.
    return undefined;
  }
}
