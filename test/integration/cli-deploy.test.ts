import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type FakeCloud, fakeCloud } from '../support/fake-cloud.ts';

const clouds: FakeCloud[] = [];
after(() => {
  for (const cloud of clouds) cloud.dispose();
});
const aCloud = (environment: 'dev' | 'staging' | 'prod' = 'dev', hub: 'aws' | 'azure' = 'aws'): FakeCloud => {
  const cloud = fakeCloud(environment, hub);
  clouds.push(cloud);
  return cloud;
};

/** Calls that ask only: versions, who one is, what there is. */
const asks =
  / (version|--version|whoami|ls|diff|get|wait|digest)\b|stack (select|output)|preview|sts get-caller|projects describe|account show|port-forward|app wait|auth login|get-login-password|print-access-token|acr login/;
const changes = (calls: readonly string[]): string[] => calls.filter((call) => !asks.test(call));
const files = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
    statSync(join(folder, file)).isFile(),
  );

test('a dry run shows every step and its commands, asks for versions and logins only, and leaves nothing behind', async () => {
  const cloud = aCloud();
  const { code, out, calls } = await cloud.run(['deploy', 'aws', '--env', 'dev', '--dry-run']);
  assert.equal(code, 0, out);
  assert.match(out, /\$ cd infra && pulumi up --yes/);
  assert.match(out, /\$0\.278\/h, quoted/);
  for (const call of calls) assert.match(call, / (version|--version|whoami)|sts get-caller-identity/);
  assert.ok(calls.length > 0 && !existsSync(cloud.folder));
});

test('what is missing is named, with how to get it, and the exit code tells tools, logins and configuration apart', async () => {
  const cloud = aCloud();
  cloud.without('argocd');
  const tool = await cloud.run(['deploy', 'aws', '--env', 'dev', '--dry-run']);
  assert.equal(tool.code, 3);
  assert.match(tool.problem, /^missing_tool: 1 of .*: argocd$/);
  assert.match(tool.out, /argocd is not installed\n.*→ https:\/\/argo-cd/);
  const login = await aCloud().run(['deploy', 'aws', '--env', 'dev', '--yes'], { fail: 'aws sts' });
  assert.deepEqual([login.code, changes(login.calls)], [4, []]);
  const wrongCloud = await aCloud('staging').run(['deploy', 'aws', '--env', 'staging', '--dry-run']);
  assert.equal(wrongCloud.code, 5);
  assert.match(wrongCloud.problem, /gcp-us-central1 \(leaf in gcp\), azure-eastus \(leaf in azure\)/);
});

test('nothing is run when nobody can be asked and --yes was not said', async () => {
  const { code, calls } = await aCloud().run(['deploy', 'aws', '--env', 'dev']);
  assert.deepEqual([code, calls], [2, []]);
});

test('a person who says no at a step ends it there', async () => {
  const { code, calls, problem } = await aCloud().run(['deploy', 'aws', '--env', 'dev'], {
    answers: ['y', 'no'],
  });
  assert.equal(code, 1);
  assert.match(problem, /step stack/);
  assert.deepEqual(changes(calls), ['npm ci --no-audit --no-fund']);
});

test('a deployment goes through its steps in order, to a served token', async () => {
  const cloud = aCloud();
  const { code, out, problem, calls } = await cloud.run(['deploy', 'aws', '--env', 'dev', '--yes', '--json']);
  assert.equal(code, 0, problem);
  const { steps } = JSON.parse(out);
  const other = steps.filter(({ status }: { status: string }) => status !== 'done');
  // The parent zone named the name servers already.
  assert.deepEqual(other, [{ name: 'delegation', status: 'was done' }]);
  const order = [
    'npm ci',
    'pulumi stack init dev',
    'pulumi up',
    'crane copy ghcr.io/drover-llm/ingress@sha256:',
    '-k argocd/cluster',
    '-f -',
    'apply -f argocd/root/project.yaml -f argocd/root/dev.yaml',
    'wait --for=create secret/nats-ca',
    'argocd --core app wait',
  ].map((text) => calls.findIndex((call) => call.includes(text)));
  assert.ok(
    !order.includes(-1) && order.every((at, index) => index === 0 || at > (order[index - 1] ?? 0)),
    `${order}`,
  );
  assert.match(cloud.sent[0] ?? '', /smollm2/);
  assert.deepEqual(cloud.drover, [['doctor']]);
});

test('started again, a deployment that is done changes nothing', async () => {
  const cloud = aCloud('staging');
  const first = await cloud.run(['deploy', 'all', '--env', 'staging', '--yes']);
  assert.equal(first.code, 0, first.problem);
  const again = await cloud.run(['deploy', 'all', '--env', 'staging', '--yes', '--json']);
  assert.equal(again.code, 0, again.problem);
  assert.deepEqual(changes(again.calls), []);
  const { steps } = JSON.parse(again.out);
  const done = steps.filter(({ status }: { status: string }) => status !== 'was done');
  assert.deepEqual(
    done.map(({ name }: { name: string }) => name),
    ['healthy', 'token', 'doctor'],
  );
});

test('external-dns on a hub in Azure gets the file that the stack tells, and on one in AWS none is asked for', async () => {
  const asked = 'pulumi stack output dnsConfig --json --stack staging';
  const azure = aCloud('staging', 'azure');
  const first = await azure.run(['deploy', 'all', '--env', 'staging', '--yes']);
  assert.equal(first.code, 0, first.problem);
  assert.ok(first.calls.includes(asked));
  const { data } = azure.made('azure-eastus', 'external-dns', 'external-dns-azure');
  assert.deepEqual(JSON.parse(Buffer.from(data['azure.json'] ?? '', 'base64').toString()), {
    tenantId: 'fake',
    useWorkloadIdentityExtension: true,
  });
  const again = await azure.run(['deploy', 'all', '--env', 'staging', '--yes']);
  assert.deepEqual([again.code, changes(again.calls)], [0, []]);
  const aws = await aCloud('staging').run(['deploy', 'all', '--env', 'staging', '--yes']);
  assert.deepEqual([aws.code, aws.calls.includes(asked)], [0, false]);
});

test('accelerated nodes have a key of their own, and are drained before anything is taken away', async () => {
  const cloud = aCloud('prod');
  const { code, problem } = await cloud.run(['deploy', 'all', '--env', 'prod', '--yes']);
  assert.equal(code, 0, problem);
  const seed = (name: string) => cloud.made('aws-us-east-1', 'drover', name).data.seed;
  assert.ok(seed('drover-agent-gpu-nkey') && seed('drover-agent-gpu-nkey') !== seed('drover-agent-nkey'));
  assert.ok(files(cloud.folder).includes('keys/agent-aws-us-east-1-gpu.nk'));
  cloud.drover.length = 0;
  const back = await cloud.run(['undeploy', 'all', '--env', 'prod'], {
    answers: ['prod', 'y', 'y', 'y', 'y'],
  });
  assert.equal(back.code, 0, back.problem);
  assert.ok(cloud.drover.some(([verb, cluster]) => `${verb} ${cluster}` === 'drain aws-us-east-1-gpu'));
});

test('it stops at the step that fails, says which, and goes on from there', async () => {
  const cloud = aCloud();
  const failed = await cloud.run(['deploy', 'aws', '--env', 'dev', '--yes', '--json'], {
    fail: 'crane copy',
  });
  assert.equal(failed.code, 1);
  assert.match(failed.problem, /^failed: step images: crane copy .* ended with 7: fake failure/);
  const { steps } = JSON.parse(failed.out);
  const statusOf = (name: string) => steps.find((step: { name: string }) => step.name === name).status;
  assert.deepEqual(
    [statusOf('clusters'), statusOf('images'), statusOf('root')],
    ['done', 'failed', 'not reached'],
  );
  assert.ok(!failed.calls.some((call) => call.includes('argocd/root')));
  const again = await cloud.run(['deploy', 'aws', '--env', 'dev', '--yes']);
  assert.equal(again.code, 0, again.problem);
  assert.ok(!again.calls.some((call) => call.startsWith('pulumi up')));
});

test('it waits for a person where only one can go on: name servers at the parent zone', async () => {
  const cloud = aCloud();
  cloud.resolves = false;
  const { code, problem } = await cloud.run(['deploy', 'aws', '--env', 'dev', '--yes']);
  assert.equal(code, 1);
  assert.match(problem, /step delegation: .*ns-1\.fake, ns-2\.fake/);
});

test('no secret is shown, none is an argument of a program, and those on the disk are for their owner only', async () => {
  const cloud = aCloud('staging');
  const { out, notes, calls, code, problem } = await cloud.run([
    'deploy',
    'all',
    '--env',
    'staging',
    '--yes',
  ]);
  assert.equal(code, 0, problem);
  const secrets = files(cloud.folder)
    .filter((file) => file.startsWith('keys/') && file !== 'keys/api-keys.json')
    .map((file) => readFileSync(join(cloud.folder, file), 'utf8'));
  assert.ok(secrets.length >= 11);
  const seen = [out, notes, ...calls].join('\n');
  for (const secret of [...secrets, 'fake-password', 'fake-credential', 'fake-private-key'])
    assert.ok(!seen.includes(secret) && !seen.includes(Buffer.from(secret).toString('base64')));
  for (const file of files(cloud.folder)) {
    assert.equal(statSync(join(cloud.folder, file)).mode & 0o077, 0, file);
    assert.ok(!readFileSync(join(cloud.folder, file), 'utf8').includes('fake-private-key'), file);
  }
});

test('one step can be run alone, and one that is not there is refused with the names of those that are', async () => {
  const cloud = aCloud();
  const one = await cloud.run(['deploy', 'aws', '--env', 'dev', '--yes', '--step', 'keys']);
  assert.equal(one.code, 0, one.problem);
  assert.deepEqual(changes(one.calls), []);
  assert.ok(files(cloud.folder).includes('keys/operator.nk'));
  const none = await cloud.run(['deploy', 'aws', '--env', 'dev', '--yes', '--step', 'magic']);
  assert.equal(none.code, 2);
  assert.match(none.problem, /packages, stack/);
});

test('the way back drains first, takes away what Kubernetes made, then the clouds; prod only by a person', async () => {
  const cloud = aCloud('staging');
  await cloud.run(['deploy', 'all', '--env', 'staging', '--yes']);
  cloud.drover.length = 0;
  const { code, calls, problem } = await cloud.run(['undeploy', 'all', '--env', 'staging', '--yes']);
  assert.equal(code, 0, problem);
  assert.deepEqual(
    cloud.drover.map(([verb, cluster]) => `${verb} ${cluster}`),
    ['drain aws-us-east-1', 'drain gcp-us-central1', 'drain azure-eastus'],
  );
  const order = [
    'port-forward',
    'delete application drover',
    'app delete',
    'delete pvc',
    'pulumi destroy',
  ].map((text) => calls.findIndex((call) => call.includes(text)));
  assert.ok(
    !order.includes(-1) && order.every((at, index) => index === 0 || at > (order[index - 1] ?? 0)),
    `${order}`,
  );
  const prod = aCloud('prod');
  assert.equal((await prod.run(['undeploy', 'all', '--env', 'prod', '--yes'])).code, 2);
  const unnamed = await prod.run(['undeploy', 'all', '--env', 'prod'], { answers: ['yes'] });
  assert.deepEqual([unnamed.code, changes(unnamed.calls)], [1, []]);
});
