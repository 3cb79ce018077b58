import { connect } from 'node:net';
import { join, relative } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseValue } from '@drover/schemas';
import { z } from 'zod';

/** What a local run tells who asks on `run.sock` of its state folder (infra/local/src/run-lock.ts). */
const runInfo = z.looseObject({
  pid: z.int(),
  url: z.string(),
  processes: z.record(z.string(), z.int()).default({}),
});
export type RunInfo = z.infer<typeof runInfo>;

/** The local run out of this folder; undefined when none is. */
export async function whoRuns(stateDir: string): Promise<RunInfo | undefined> {
  const socket = connect(addressOf(stateDir));
  try {
    const parsed = parseValue<RunInfo>(runInfo, JSON.parse(await text(socket)));
    return parsed.ok ? parsed.value : undefined;
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}

/** As the local run makes it: socket paths may have about 100 characters, so the shorter way there is taken. */
function addressOf(stateDir: string): string {
  if (process.platform === 'win32') return `\\\\.\\pipe\\drover-${stateDir.replaceAll(/[^A-Za-z0-9]/g, '-')}`;
  const path = join(stateDir, 'run.sock');
  const short = relative(process.cwd(), path);
  return short.length < path.length ? short : path;
}
