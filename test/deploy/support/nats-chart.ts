import { z } from 'zod';

/**
 * What the official NATS chart (2.14.2) makes of the part of its values that we use: the server's configuration. The
 * chart itself cannot be had where the tests run, so this stands for its `files/config/*.yaml`; a value that is not
 * known here is refused, so that nothing is silently left out.
 */
const merge = z.record(z.string(), z.unknown()).default({});
const tls = z.strictObject({ enabled: z.boolean(), secretName: z.string(), merge }).optional();

const config = z.strictObject({
  cluster: z.strictObject({ enabled: z.boolean(), replicas: z.int().default(3), tls }),
  jetstream: z.strictObject({
    enabled: z.boolean(),
    fileStore: z
      .strictObject({ pvc: z.strictObject({ size: z.string() }), maxSize: z.string().optional() })
      .optional(),
    memoryStore: z.strictObject({ enabled: z.boolean(), maxSize: z.string() }).optional(),
    merge,
  }),
  nats: z.strictObject({ tls }),
  leafnodes: z.strictObject({ enabled: z.boolean(), tls, merge }).optional(),
  monitor: z.strictObject({ enabled: z.boolean() }),
  merge,
});

export const chartValues = z.looseObject({
  config,
  tlsCA: z.strictObject({ enabled: z.boolean(), secretName: z.string() }).optional(),
});
export type ChartValues = z.infer<typeof chartValues>;
export type Conf = Record<string, unknown>;

/** @param name of the release, which is the name of the StatefulSet and of its services */
export function serverConfig(values: ChartValues, name: string): Conf {
  const { cluster, jetstream, nats, leafnodes, monitor } = values.config;
  const secured = (block: z.infer<typeof tls>, folder: string): Conf =>
    block?.enabled ? { tls: deepMerge(tlsFiles(folder, values.tlsCA?.enabled === true), block.merge) } : {};
  const conf: Conf = {
    server_name: '<< $SERVER_NAME >>',
    lame_duck_grace_period: '10s',
    lame_duck_duration: '30s',
    pid_file: '/var/run/nats/nats.pid',
    port: 4222,
    ...secured(nats.tls, 'nats'),
    ...(leafnodes?.enabled && {
      leafnodes: deepMerge(
        { port: 7422, no_advertise: true, ...secured(leafnodes.tls, 'leafnodes') },
        leafnodes.merge,
      ),
    }),
    ...(cluster.enabled && {
      cluster: {
        name,
        port: 6222,
        no_advertise: true,
        routes: Array.from(
          { length: cluster.replicas },
          (_, index) => `${cluster.tls?.enabled ? 'tls' : 'nats'}://${name}-${index}.${name}-headless:6222`,
        ),
        ...secured(cluster.tls, 'cluster'),
      },
    }),
    ...(monitor.enabled && { http_port: 8222 }),
    ...(jetstream.enabled && {
      jetstream: deepMerge(
        {
          max_memory_store: jetstream.memoryStore?.enabled ? `<< ${jetstream.memoryStore.maxSize} >>` : 0,
          store_dir: '/data',
          max_file_store: `<< ${jetstream.fileStore?.maxSize ?? jetstream.fileStore?.pvc.size ?? '10Gi'} >>`,
        },
        jetstream.merge,
      ),
    }),
  };
  return deepMerge(conf, values.config.merge);
}

const tlsFiles = (folder: string, ca: boolean): Conf => ({
  cert_file: `/etc/nats-certs/${folder}/tls.crt`,
  key_file: `/etc/nats-certs/${folder}/tls.key`,
  ...(ca && { ca_file: '/etc/nats-ca-cert/ca.crt' }),
});

const isObject = (value: unknown): value is Conf =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** As Helm merges values: objects by key, everything else replaced. */
export function deepMerge(base: Conf, over: Conf): Conf {
  const merged: Conf = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = merged[key];
    merged[key] = isObject(before) && isObject(value) ? deepMerge(before, value) : value;
  }
  return merged;
}

/** The text of the configuration: JSON, in which `"<< x >>"` stands for an unquoted x. */
export const confText = (conf: Conf): string =>
  JSON.stringify(conf, null, 2).replaceAll(/"<< (.*?) >>"/g, (_, raw: string) => raw);
