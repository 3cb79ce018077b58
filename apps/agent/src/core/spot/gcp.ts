import { type MetadataAnswer, type SpotAnswer, unexpected } from './notice.ts';

/** Pure. The answer of `/computeMetadata/v1/instance/preempted`: `TRUE` from the notice on. No time is given. */
export function readGcp(answer: MetadataAnswer): SpotAnswer {
  if (answer.status !== 200) return unexpected(answer);
  switch (answer.body.trim().toUpperCase()) {
    case 'TRUE':
      return { kind: 'notice', notice: { cloud: 'gcp', action: 'preempt' } };
    case 'FALSE':
      return { kind: 'none' };
    default:
      return { kind: 'failed', problem: 'neither TRUE nor FALSE' };
  }
}
