import { z } from 'zod';
import { type MetadataAnswer, type SpotAnswer, unexpected } from './notice.ts';

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html */
const instanceAction = z.object({ action: z.string(), time: z.string() });

/** Pure. The answer of `/latest/meta-data/spot/instance-action`: 404 until there is a notice. */
export function readAws(answer: MetadataAnswer): SpotAnswer {
  if (answer.status === 404) return { kind: 'none' };
  if (answer.status !== 200) return unexpected(answer);
  try {
    const { action, time } = instanceAction.parse(JSON.parse(answer.body));
    const atMs = Date.parse(time);
    return {
      kind: 'notice',
      notice: { cloud: 'aws', action: action.toLowerCase(), ...(Number.isNaN(atMs) ? {} : { atMs }) },
    };
  } catch {
    // It is there, so the machine will go; only the details cannot be read.
    return { kind: 'notice', notice: { cloud: 'aws', action: 'unknown' } };
  }
}
