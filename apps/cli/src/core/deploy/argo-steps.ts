import type { Facts } from './facts.ts';
import { names } from './names.ts';
import { type Authority, argocd, atHub, kubectl } from './tools.ts';
import type { Action, Paths, Resource, Step } from './types.ts';

export const root = (
  { environment, clusters: all, hub, root: { repository, revision } }: Facts,
  paths: Paths,
): Step => {
  const files = ['-f', 'argocd/root/project.yaml', '-f', `argocd/root/${environment}.yaml`];
  return {
    name: 'root',
    title: 'The one Application that makes all others',
    why: `Argo CD reads ${repository} at ${revision}, not this folder: push first.`,
    needs: ['secrets', 'images'],
    cost: 'two load balancers (the API’s, and one for leaf nodes), disks of NATS and Prometheus: not sourced',
    undo: 'drover undeploy',
    actions: [
      ...all.map(
        ({ name }): Action => ({
          kind: 'run',
          command: kubectl(paths, hub.name, ['-n', names.argocd, 'get', 'secret', `cluster-${name}`]),
        }),
      ),
      {
        kind: 'run',
        command: kubectl(paths, hub.name, ['apply', ...files]),
        doneIf: kubectl(paths, hub.name, ['diff', ...files]),
      },
    ],
  };
};

export function certificates(
  { hub, leaves, clusters: all }: Facts,
  paths: Paths,
  authority: Authority,
): Step {
  const made: Resource = {
    kind: 'Secret',
    cluster: hub.name,
    namespace: names.nats,
    name: names.authority,
    entries: {},
  };
  const trusted = (cluster: string): Action => ({
    kind: 'copy',
    from: made,
    to: {
      ...made,
      cluster,
      namespace: names.namespace,
      name: names.clientTls,
      entries: { 'ca.crt': { text: '' } },
    },
    file: authority.name,
  });
  const whole = (cluster: string): Action => ({
    kind: 'copy',
    from: made,
    to: {
      ...made,
      cluster,
      type: 'kubernetes.io/tls',
      entries: { 'tls.crt': { text: '' }, 'tls.key': { text: '' }, 'ca.crt': { text: '' } },
    },
  });
  return {
    name: 'certificates',
    title: 'The authority of NATS, to those who must trust it',
    why: 'cert-manager makes it on the hub. Clients get its certificate; leaves get its key too, to make their own server’s.',
    needs: ['root'],
    cost: 'nothing',
    undo: 'kubectl delete secret nats-client-tls; drover undeploy',
    actions: [
      {
        kind: 'run',
        command: kubectl(paths, hub.name, [
          ...['-n', names.nats, 'wait', '--for=create'],
          ...[`secret/${names.authority}`, '--timeout=1800s'],
        ]),
      },
      ...all.map(({ name }) => trusted(name)),
      ...leaves.map(({ name }) => whole(name)),
    ],
  };
}

export const healthy = (paths: Paths): Step => ({
  name: 'healthy',
  title: 'Everything is in sync and healthy',
  why: 'Argo CD works through its waves: platform, NATS, router, llm-server. llm-server is healthy at zero nodes.',
  needs: ['certificates', 'delegation'],
  cost: 'nothing more',
  undo: 'nothing to undo',
  actions: [
    {
      kind: 'run',
      command: argocd(paths, [
        'app',
        'wait',
        '-l',
        'drover.dev/app',
        '--sync',
        '--health',
        '--timeout',
        '1800',
      ]),
    },
  ],
});

export const token = ({ domain }: Facts): Step => ({
  name: 'token',
  title: 'The first token',
  why: 'A prompt through the API: queue, decision, a node from zero, the model, and back.',
  needs: ['healthy'],
  cost: 'one spot node while there is work, and some minutes after',
  undo: 'nothing to undo: the node goes by itself',
  actions: [{ kind: 'first-token', url: `https://api.${domain}`, keyFile: 'keys/api-key' }],
});

export const doctor = ({ hub }: Facts, paths: Paths): Step => ({
  name: 'doctor',
  title: 'Streams, rights, clocks, prices and agents',
  why: 'What drover doctor checks, over a forwarded port of the hub’s NATS.',
  needs: ['healthy'],
  cost: 'nothing',
  undo: 'nothing to undo',
  actions: [atHub(paths, hub.name, [['doctor']])],
});
