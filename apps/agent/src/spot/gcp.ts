import { readGcp } from '../core/spot/gcp.ts';
import { ask, linkLocal } from './metadata.ts';
import type { SpotSource } from './source.ts';

/** How long the metadata server is asked to wait for a change before it says what there is. */
const waitSeconds = 30;
const timeoutMs = (waitSeconds + 5) * 1_000;

/** GCP. The first answer comes at once; each later one when it has changed since, so a notice is heard without delay. */
export function gcpSource(baseUrl = linkLocal): SpotSource {
  let etag: string | undefined;
  return {
    async ask(signal) {
      const wait =
        etag === undefined ? '' : `?wait_for_change=true&timeout_sec=${waitSeconds}&last_etag=${etag}`;
      const answer = await ask(`${baseUrl}/computeMetadata/v1/instance/preempted${wait}`, {
        headers: { 'Metadata-Flavor': 'Google' },
        signal,
        timeoutMs,
      });
      etag = answer.status === 200 ? answer.header('etag') : undefined;
      return readGcp(answer);
    },
  };
}
