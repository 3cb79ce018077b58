import type { PortUse } from './checks.ts';
import type { LocalCluster } from './clusters.ts';

/** Every port of a local run; all on 127.0.0.1. */
export type Ports = {
  readonly http: number;
  readonly ingressMetrics: number;
  readonly schedulerMetrics: number;
  readonly nats: number;
  readonly natsMonitor: number;
  /** By the order of the clusters. */
  readonly llama: readonly number[];
  readonly agentMetrics: readonly number[];
};

/** The variable that moves each port. For `llama` and `agentMetrics` it is the first of as many as there are clusters. */
export const portVariables = {
  http: 'HTTP_PORT',
  ingressMetrics: 'INGRESS_METRICS_PORT',
  schedulerMetrics: 'SCHEDULER_METRICS_PORT',
  nats: 'NATS_PORT',
  natsMonitor: 'NATS_MONITOR_PORT',
  llama: 'LLAMA_PORT',
  agentMetrics: 'AGENT_METRICS_PORT',
} as const satisfies Record<keyof Ports, string>;

export const defaultPorts = {
  http: 8080,
  ingressMetrics: 9090,
  schedulerMetrics: 9091,
  nats: 4222,
  natsMonitor: 8222,
  llama: 8181,
  agentMetrics: 9101,
} as const satisfies Record<keyof Ports, number>;

/** Who is going to listen where; parts that are not started here are left out. */
export function portUses(
  ports: Ports,
  clusters: readonly LocalCluster[],
  external: { nats: boolean; llama: (cluster: string) => boolean },
): PortUse[] {
  const use = (port: number, part: string, key: keyof Ports): PortUse => ({
    port,
    part,
    variable: portVariables[key],
  });
  return [
    use(ports.http, 'the ingress', 'http'),
    use(ports.ingressMetrics, 'the metrics of the ingress', 'ingressMetrics'),
    use(ports.schedulerMetrics, 'the metrics of the scheduler', 'schedulerMetrics'),
    ...(external.nats
      ? []
      : [
          use(ports.nats, 'nats-server', 'nats'),
          use(ports.natsMonitor, 'the monitor of nats-server', 'natsMonitor'),
        ]),
    ...clusters.flatMap(({ id }, index) => [
      ...(external.llama(id) ? [] : [use(portAt(ports.llama, index), `llama.cpp of ${id}`, 'llama')]),
      use(portAt(ports.agentMetrics, index), `the metrics of the agent of ${id}`, 'agentMetrics'),
    ]),
  ];
}

/** The port of the cluster at this place. @throws when there are more clusters than ports */
export function portAt(ports: readonly number[], index: number): number {
  const port = ports[index];
  if (port === undefined) throw new Error(`no port for cluster ${index}`);
  return port;
}
