import { createLogger, watchBucket } from '@drover/runtime';
import { buckets } from '@drover/schemas';
import { z } from 'zod';
import { connectTo } from './hub.ts';

/** Watches the policy over so many connections, says `watching`, and goes on until it is killed: <url> <how many>. */
const [url = '', count = '1'] = process.argv.slice(2);
const log = createLogger('watchers', 'fatal');
await Promise.all(
  Array.from({ length: Number(count) }, async () =>
    watchBucket(await connectTo(url), {
      bucket: buckets.policy.name,
      key: 'cordon.*',
      schema: z.string(),
      onValue: () => {},
      log,
    }),
  ),
);
console.log('watching');
