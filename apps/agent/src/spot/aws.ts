import { readAws } from '../core/spot/aws.ts';
import { ask, linkLocal } from './metadata.ts';
import type { SpotSource } from './source.ts';

const timeoutMs = 2_000;
/** The longest that AWS gives. A token that is refused earlier is fetched again. */
const tokenSeconds = 21_600;

/** AWS, by IMDSv2: every question needs a token of this machine's. */
export function awsSource(baseUrl = linkLocal): SpotSource {
  let token: string | undefined;
  return {
    async ask(signal) {
      token ??= await fetchToken(baseUrl, signal);
      const answer = await ask(`${baseUrl}/latest/meta-data/spot/instance-action`, {
        headers: { 'X-aws-ec2-metadata-token': token },
        signal,
        timeoutMs,
      });
      if (answer.status === 401) token = undefined;
      return readAws(answer);
    },
  };
}

async function fetchToken(baseUrl: string, signal: AbortSignal): Promise<string> {
  const { status, body } = await ask(`${baseUrl}/latest/api/token`, {
    method: 'PUT',
    headers: { 'X-aws-ec2-metadata-token-ttl-seconds': String(tokenSeconds) },
    signal,
    timeoutMs,
  });
  if (status !== 200) throw new Error(`no metadata token: ${status}`);
  return body;
}
