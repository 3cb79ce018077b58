import { type NatsUser, natsUsersConfig } from '@drover/schemas';

/**
 * The configuration of the local nats-server. `sync_interval` is left at its default (two minutes): an accepted request
 * survives the death of any process, and not a power cut. The hub of a real deployment syncs always.
 * Twice the 512 MiB of LLM_REPLIES in memory: JetStream sets `max_bytes` aside once more while it is asked to create a
 * stream that exists already.
 */
export const natsConfig = (options: {
  port: number;
  monitorPort: number;
  storeDir: string;
  users: readonly NatsUser[];
}): string => `server_name: drover-local
listen: "127.0.0.1:${options.port}"
http: "127.0.0.1:${options.monitorPort}"
jetstream {
  store_dir: ${JSON.stringify(options.storeDir)}
  max_mem: 2G
  max_file: 10G
}
${natsUsersConfig(options.users)}`;
