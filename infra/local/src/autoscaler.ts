import { connectNats, createLogger, type Nats } from '@drover/runtime';
import { jobConsumer, wakeConsumer } from '@drover/schemas';
import type { Say } from './parts.ts';
import type { System } from './system.ts';

const everyMs = 1_000;

export type AutoscalerOptions = {
  /** Clusters whose llama.cpp is ours to start and stop. */
  readonly clusters: readonly string[];
  /** A node that nobody wants is kept for so long, in ms; KEDA's `cooldownPeriod`. */
  readonly coolDownMs: number;
  readonly say: Say;
};

type Node = { up: boolean; busy: boolean; unwantedSinceMs: number | undefined };

/**
 * Keeps the nodes that are wanted: what KEDA does in Kubernetes, on one machine, where a cluster has one node at most. It
 * reads what KEDA's scaler reads, the messages before two consumers: nodes that the scheduler wants, and jobs.
 */
export async function startAutoscaler(
  system: System,
  { clusters, coolDownMs, say }: AutoscalerOptions,
): Promise<{ stop(): Promise<void> }> {
  const nats = await connect(system);
  const nodes = new Map(
    clusters.map((cluster): [string, Node] => [
      cluster,
      { up: true, busy: false, unwantedSinceMs: undefined },
    ]),
  );
  let stopped = false;
  let turn: Promise<void> = Promise.resolve();
  const looks = async () => {
    if (stopped) return;
    for (const [cluster, node] of nodes) if (!node.busy) await look(cluster, node);
  };
  const timer = setInterval(() => {
    turn = turn.then(looks).catch((error) => say(`autoscaler: ${String(error)}`));
  }, everyMs);
  const changes = new Set<Promise<void>>();
  return {
    stop: async () => {
      stopped = true;
      clearInterval(timer);
      await turn;
      await Promise.all(changes);
      await nats.nc.close();
    },
  };

  async function look(cluster: string, node: Node): Promise<void> {
    const wanted = await isWanted(nats, cluster);
    const nowMs = performance.now();
    node.unwantedSinceMs = wanted ? undefined : (node.unwantedSinceMs ?? nowMs);
    if (wanted && !node.up) change(cluster, node, wake);
    else if (node.up && node.unwantedSinceMs !== undefined && nowMs - node.unwantedSinceMs >= coolDownMs)
      change(cluster, node, sleep);
  }

  /** One cluster's start or stop does not hold up the others. */
  function change(cluster: string, node: Node, act: (cluster: string) => Promise<void>): void {
    node.busy = true;
    node.up = act === wake;
    const changing = act(cluster)
      .catch((error) => {
        say(`autoscaler: ${error instanceof Error ? error.message : String(error)}`);
        node.up = !node.up;
      })
      .finally(() => {
        node.busy = false;
        changes.delete(changing);
      });
    changes.add(changing);
  }

  async function wake(cluster: string): Promise<void> {
    const startedAtMs = performance.now();
    say(`${cluster}: starting, it is wanted`);
    await system.start(`llama-${cluster}`);
    await system.start(`agent-${cluster}`);
    say(`${cluster}: ready after ${((performance.now() - startedAtMs) / 1_000).toFixed(1)} s`);
  }

  /** The agent first: it hands over what it runs while its backend still answers. */
  async function sleep(cluster: string): Promise<void> {
    await system.stop(`agent-${cluster}`);
    await system.stop(`llama-${cluster}`);
    say(`${cluster}: at zero, nobody wants it`);
  }
}

async function isWanted(nats: Nats, cluster: string): Promise<boolean> {
  for (const { stream, name } of [wakeConsumer(cluster), jobConsumer(cluster)]) {
    const { num_pending, num_ack_pending } = await nats.jsm.consumers.info(stream, name);
    if (num_pending + num_ack_pending > 0) return true;
  }
  return false;
}

function connect(system: System): Promise<Nats> {
  const credential = system.credential('autoscaler');
  return connectNats(
    'autoscaler',
    {
      NATS_URL: system.natsUrl,
      NATS_INBOX_PREFIX: credential?.inboxPrefix ?? '_INBOX',
      LOG_LEVEL: 'fatal',
      ...(credential === undefined ? {} : { NATS_NKEY_FILE: credential.nkeyFile }),
    },
    createLogger('autoscaler', 'fatal'),
  );
}
