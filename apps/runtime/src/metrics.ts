import { createServer, type Server } from 'node:http';
import { collectDefaultMetrics, Registry } from 'prom-client';

/** A registry that already has the process's own figures (memory, event loop lag). */
export function createRegistry(app: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ app });
  collectDefaultMetrics({ register: registry });
  return registry;
}

/** Seconds; wide enough for a cold cluster and a long answer on a CPU. */
export const secondsBuckets = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
];

export type Probe = () => { ok: boolean; detail?: string };

/**
 * Serves `/metrics`, `/livez` and `/readyz` on a port of its own, and `/status` as JSON where there is one. `ready` and
 * `status` are asked per request and must be cheap.
 * @throws when the port is in use
 */
export async function serveMetrics(
  registry: Registry,
  options: { host: string; port: number; ready: Probe; status?: () => object },
): Promise<Server> {
  const server = createServer(async (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0];
    if (path === '/metrics') {
      response.setHeader('content-type', registry.contentType).end(await registry.metrics());
    } else if (path === '/livez') {
      response.end('ok\n');
    } else if (path === '/readyz') {
      const { ok, detail } = options.ready();
      response.writeHead(ok ? 200 : 503).end(`${detail ?? (ok ? 'ok' : 'not ready')}\n`);
    } else if (path === '/status' && options.status) {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(options.status()));
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return server;
}
