import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Nats } from '@drover/runtime';
import type { Command } from '../../apps/cli/src/command.ts';
import { deployCommand, undeployCommand } from '../../apps/cli/src/commands/deploy.ts';
import { pauseCommand, resumeCommand } from '../../apps/cli/src/commands/pause.ts';
import type { WorldOf } from '../../apps/cli/src/deploy/hibernate.ts';
import { realWorld, type World } from '../../apps/cli/src/deploy/world.ts';
import { CliError, exitCodeOf } from '../../apps/cli/src/errors.ts';
import { projectRoot } from '../../infra/local/src/parts.ts';

const fakeTool = fileURLToPath(new URL('fake-cloud-tool.sh', import.meta.url));
const tools = [
  ...[
    'pulumi',
    'kubectl',
    'argocd',
    'crane',
    'npm',
    'aws',
    'gcloud',
    'gke-gcloud-auth-plugin',
    'az',
    'kubelogin',
  ],
];
const commands: Record<string, (worldOf: WorldOf, root: string) => Command> = {
  deploy: deployCommand,
  undeploy: undeployCommand,
  pause: pauseCommand,
  resume: resumeCommand,
};
const clusters = ['aws-us-east-1', 'gcp-us-central1', 'azure-eastus'];

export type RunOptions = {
  /** Every call of a tool fails that has this text. */
  readonly fail?: string;
  /** What a person answers, in order; absent: nobody is there. */
  readonly answers?: string[];
  /** The hub, for commands that speak with it. */
  readonly nats?: Nats;
};

export type FakeCloud = {
  /** Runs `drover deploy`, `undeploy`, `pause` or `resume` against fake tools. */
  run(
    args: readonly string[],
    more?: RunOptions,
  ): Promise<{ code: number; problem: string; out: string; notes: string; calls: string[] }>;
  readonly folder: string;
  /** What was applied last as this Secret or ConfigMap. */
  made(cluster: string, namespace: string, name: string): { data: Record<string, string> };
  /** Commands of `drover` that were run over the forwarded port. */
  readonly drover: string[][];
  /** Bodies of what was sent to the API. */
  readonly sent: string[];
  without(tool: string): void;
  resolves: boolean;
  dispose(): void;
};

/**
 * A copy of what a deployment reads, with values that could be somebody's, and fake tools that remember what they made.
 * No network, no cloud.
 */
export function fakeCloud(environment: 'dev' | 'staging' | 'prod', hub: 'aws' | 'azure' = 'aws'): FakeCloud {
  const base = mkdtempSync(join(tmpdir(), 'drover-fake-cloud-'));
  const [bin, state, root] = ['bin', 'state', 'root'].map((name) => join(base, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of [bin, state]) mkdirSync(folder);
  for (const tool of tools) symlinkSync(fakeTool, join(bin, tool));
  copyConfiguration(root, environment, hub);
  writeOutputs(state);
  const stateDir = join(base, '.drover');
  const folder = join(stateDir, 'deploy', environment);
  const drover: string[][] = [];
  const sent: string[] = [];
  const cloud: FakeCloud = { run, folder, made, drover, sent, without, resolves: true, dispose };
  return cloud;

  async function run(args: readonly string[], { fail = '', answers, nats }: RunOptions = {}) {
    rmSync(join(state, 'calls'), { force: true });
    const out: string[] = [];
    const notes: string[] = [];
    const worldOf = (where: string, env: NodeJS.ProcessEnv): World => ({
      ...realWorld(where, env),
      drover: async (words) => {
        drover.push([...words]);
        return { code: 0, stdout: '', stderr: '' };
      },
      resolveNs: async () => (cloud.resolves ? ['ns-1.fake.', 'ns-2.fake.'] : []),
      fetch: async (_url, init) => {
        sent.push(String(init?.body));
        return new Response('{}', { headers: { 'x-drover-cluster': 'aws-us-east-1' } });
      },
    });
    const [name, ...rest] = args;
    const command = commands[name ?? '']?.(worldOf, root);
    if (command === undefined) throw new Error(`the fake cloud knows no ${name}`);
    let code = 0;
    let problem = '';
    try {
      await command.run(rest, {
        io: {
          out: (text) => void out.push(text),
          note: (text) => void notes.push(text),
          interactive: answers !== undefined,
          ask: async () => answers?.shift() ?? '',
          leaving: new AbortController().signal,
        },
        connect: () =>
          nats ? Promise.resolve(nats) : Promise.reject(new Error('a deployment does not connect by itself')),
        by: 'tester',
        env: { PATH: bin, FAKE_STATE: state, FAKE_FAIL: fail },
        stateDir,
      });
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      code = exitCodeOf(error.code);
      problem = `${error.code}: ${error.message}`;
    }
    const calls = existsSync(join(state, 'calls'))
      ? readFileSync(join(state, 'calls'), 'utf8').trim().split('\n')
      : [];
    return { code, problem, out: out.join('\n'), notes: notes.join('\n'), calls };
  }

  function made(cluster: string, namespace: string, name: string): { data: Record<string, string> } {
    const where = join(folder, `${cluster}.kubeconfig`).replaceAll(/[/:@]/g, '_');
    return JSON.parse(readFileSync(join(state, `made-${where}-${namespace}-${name}`), 'utf8'));
  }

  function without(tool: string): void {
    rmSync(join(bin, tool));
  }

  function dispose(): void {
    rmSync(base, { recursive: true, force: true });
  }
}

/** The examples, with the values that nobody can own replaced. */
function copyConfiguration(root: string, environment: string, hub: 'aws' | 'azure'): void {
  /** Both files name the cloud of a cluster and then its role. */
  const roles = (text: string): string =>
    hub === 'aws'
      ? text
      : text.replaceAll(
          /("?cloud"?: "?)(\w+)("?,?\s+"?role"?: "?)\w+/g,
          (_, before: string, cloud: string, between: string) =>
            `${before}${cloud}${between}${cloud === hub ? 'hub' : 'leaf'}`,
        );
  const own = (path: string, change: (text: string) => string) => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), change(readFileSync(join(projectRoot, path), 'utf8')));
  };
  own(`infra/Pulumi.${environment}.yaml`, (text) =>
    roles(text)
      .replaceAll(/[a-z]*\.?drover\.example/g, 'llm.somebody.dev')
      .replaceAll('example.com', 'somebody.dev')
      .replaceAll('github.com/example/drover', 'github.com/drover-llm/drover')
      .replaceAll('203.0.113.0/28', '81.2.69.0/28')
      .replaceAll(/accountId: "\d+"/g, 'accountId: "123456789012"')
      .replaceAll(/projectNumber: "\d+"/g, 'projectNumber: "998877665544"'),
  );
  cpSync(join(projectRoot, 'argocd/root'), join(root, 'argocd/root'), { recursive: true });
  const here = `argocd/environments/${environment}`;
  own(`${here}/fleet.json`, roles);
  for (const file of ['images-router.yaml', 'images-llm-server.yaml'])
    own(`${here}/${file}`, (text) => text.replaceAll('digest: ""', `digest: "sha256:${'a'.repeat(64)}"`));
}

function writeOutputs(state: string): void {
  const write = (name: string, value: unknown) => writeFileSync(join(state, name), JSON.stringify(value));
  const kubeconfig = (name: string) =>
    JSON.stringify({
      contexts: [{ name, context: { cluster: name, user: name } }],
      users: [{ name, user: { token: 'fake-credential' } }],
    });
  write('output-kubeconfigs.json', Object.fromEntries(clusters.map((name) => [name, kubeconfig(name)])));
  write('output-registries.json', {
    'aws-us-east-1': '123456789012.dkr.ecr.us-east-1.fake/drover-x',
    'gcp-us-central1': 'us-central1-docker.fake/project/drover-x',
    'azure-eastus': 'droverx.azurecr.fake',
  });
  write('output-dnsConfig.json', '{"tenantId":"fake","useWorkloadIdentityExtension":true}');
  write('output-nameServers.json', ['ns-1.fake', 'ns-2.fake']);
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  write('nats-ca.json', {
    kind: 'Secret',
    data: {
      'ca.crt': base64('certificate'),
      'tls.crt': base64('certificate'),
      'tls.key': base64('fake-private-key'),
    },
  });
}
