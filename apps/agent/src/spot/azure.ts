import { readAzure } from '../core/spot/azure.ts';
import { ask, linkLocal } from './metadata.ts';
import type { SpotSource } from './source.ts';

const headers = { Metadata: 'true' };
/** The service starts when it is asked for the first time, which takes up to two minutes; the next question finds it. */
const timeoutMs = 5_000;

/** Azure. Its events are not acknowledged: that would only take the machine away sooner. */
export function azureSource(baseUrl = linkLocal): SpotSource {
  let machine: string | undefined;
  return {
    async ask(signal) {
      machine ??= await fetchName(baseUrl, signal);
      const answer = await ask(`${baseUrl}/metadata/scheduledevents?api-version=2020-07-01`, {
        headers,
        signal,
        timeoutMs,
      });
      return readAzure(answer, machine, Date.now());
    },
  };
}

/** The events of a group name every machine of it: which one is this? */
async function fetchName(baseUrl: string, signal: AbortSignal): Promise<string> {
  const { status, body } = await ask(
    `${baseUrl}/metadata/instance/compute/name?api-version=2021-02-01&format=text`,
    { headers, signal, timeoutMs },
  );
  if (status !== 200 || body.trim() === '') throw new Error(`no name of this machine: ${status}`);
  return body.trim();
}
