import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { requireDisk, requireFreePorts } from './checks.ts';

test('a port in use is refused with its number, who wants it, and the variable that moves it', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const use = { port: address.port, part: 'the ingress', variable: 'HTTP_PORT' };
  await assert.rejects(requireFreePorts([use]), {
    name: 'Problem',
    message: `port ${address.port} is in use, and the ingress wants it (set HTTP_PORT to move it)`,
  });
  await new Promise((resolve) => server.close(resolve));
  await requireFreePorts([use]);
});

test('a disk without room is refused before anything is written, also for a folder that does not exist yet', () => {
  requireDisk('/', 0, 'run');
  assert.throws(() => requireDisk('/no/such/folder', 2 ** 50, 'run'), /MiB are needed to run; make room/);
});
