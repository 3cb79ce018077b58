import type { Nats } from '@drover/runtime';
import { natsHeaders, subjects } from '@drover/schemas';
import type { JsMsg } from '@nats-io/jetstream';
import { headers } from 'nats';

/** Keeps a job that nobody can process, with the reason. @throws when JetStream did not store it */
export async function writeDeadLetter(
  nats: Nats,
  message: JsMsg,
  why: { readonly reason: string; readonly problem: string },
  id: string,
): Promise<void> {
  const about = headers();
  about.set(natsHeaders.reason, why.reason);
  about.set(natsHeaders.problem, why.problem);
  about.set(natsHeaders.subject, message.subject);
  await nats.js.publish(subjects.deadLetter(why.reason, id), message.data, {
    msgID: `${message.info.stream}.${message.seq}.${why.reason}`,
    headers: about,
  });
}
