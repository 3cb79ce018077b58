import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger, Lease, publishFenced } from '@drover/runtime';
import { connectTo } from './hub.ts';

/**
 * A process that wants a lease and, while it has it, writes to `acts.log` in stream ACTS, fenced. Says `ready`, each token
 * it wins, `lost`, and `refused` when a write met a later holder. Takes the URL, its name and the lease's life in seconds.
 */
const [url = '', holder = '', ttlSeconds = '1'] = process.argv.slice(2);
const say = (word: string) => process.stdout.write(`${word}\n`);
const nats = await connectTo(url, holder);
const lease = new Lease({
  nats,
  log: createLogger('test', 'silent'),
  duty: 'test',
  holder,
  ttlSeconds: Number(ttlSeconds),
  onChange: (token) => say(token === null ? 'lost' : `token ${token}`),
});
lease.start();
say('ready');

let stopping = false;
process.on('SIGTERM', () => {
  stopping = true;
});

while (!stopping) {
  const { token } = lease;
  if (token !== null) {
    const written = await publishFenced(nats, 'ACTS', 'acts.log', holder, token).catch(() => undefined);
    if (written === null) say('refused');
  }
  await sleep(5);
}
await lease.stop();
await nats.nc.close();
