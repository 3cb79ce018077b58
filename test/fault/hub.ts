import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type NatsUser, natsUsersConfig } from '@drover/schemas';
import { answers, type ProcessSpec } from '../../infra/local/src/processes.ts';

export type HubNode = { readonly name: string; readonly port: number; readonly spec: ProcessSpec };

const host = '127.0.0.1';
const stopWithinMs = 10_000;

/**
 * The nats-servers of a run, by process: one, or three that keep every file stream three times and sync each write, as
 * the hub of a real deployment does. Clients are told no other addresses than their own: they would go around the proxy
 * that cuts them off.
 */
export function hubNodes(options: {
  readonly natsServer: string;
  readonly folder: string;
  readonly nodes: 1 | 3;
  readonly users: readonly NatsUser[];
  /** Three per node: for clients, for the monitor, for the other nodes. */
  readonly ports: readonly number[];
}): HubNode[] {
  const { natsServer, folder, nodes, users, ports } = options;
  const portsOf = (index: number) => ports.slice(3 * index, 3 * index + 3);
  const routes = Array.from({ length: nodes }, (_, index) => `nats-route://${host}:${portsOf(index)[2]}`);
  return Array.from({ length: nodes }, (_, index) => {
    const [port = 0, monitor, route] = portsOf(index);
    const name = `nats-${index + 1}`;
    mkdirSync(join(folder, name), { recursive: true });
    const file = join(folder, name, 'nats.conf');
    const cluster =
      nodes === 1
        ? ''
        : `cluster { name: hub, listen: "${host}:${route}", no_advertise: true, routes: ${JSON.stringify(routes)} }`;
    writeFileSync(
      file,
      `server_name: ${name}
listen: "${host}:${port}"
http: "${host}:${monitor}"
jetstream {
  store_dir: ${JSON.stringify(join(folder, name, 'js'))}
  max_mem: 2G
  max_file: 8G
  ${nodes === 3 ? 'sync_interval: always' : ''}
}
${cluster}
${natsUsersConfig(users)}`,
    );
    const spec: ProcessSpec = {
      name,
      command: [natsServer, '-c', file],
      logFile: join(folder, 'logs', `${name}.log`),
      ready: (signal) => answers(`http://${host}:${monitor}/healthz`, signal),
      stopWithinMs,
    };
    return { name, port, spec };
  });
}
