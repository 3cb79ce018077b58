import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { parse } from 'yaml';
import { projectRoot } from '../../infra/local/src/parts.ts';
import { ensureTools, must, run, tools } from './support/tools.ts';

const folder = join(projectRoot, '.github/workflows');
const files = readdirSync(folder).map((file) => join(folder, file));
const actionlint = (...paths: string[]) =>
  run(tools.actionlint, ['-shellcheck', tools.shellcheck, '-pyflakes', '', ...paths]);
const zizmor = (path: string) =>
  run(tools.zizmor, ['--offline', '--no-progress', '--persona', 'regular', path]);

before(ensureTools);

test('actionlint and zizmor have nothing to say about any workflow', async () => {
  const linted = await actionlint(...files);
  assert.ok(linted.ok, linted.output);
  const audited = await zizmor(join(projectRoot, '.github'));
  assert.ok(audited.ok, audited.output);
});

test('a wrong key, an unpinned action and an injection into a shell are found', async () => {
  const place = mkdtempSync(join(tmpdir(), 'drover-workflow-'));
  try {
    mkdirSync(join(place, '.github/workflows'), { recursive: true });
    const path = join(place, '.github/workflows/x.yml');
    const job = (step: string) =>
      `name: x\non: pull_request\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - ${step}\n`;
    const faults = [
      { step: 'rum: echo', by: actionlint, says: /rum/ },
      { step: 'uses: docker/login-action@v3', by: zizmor, says: /unpinned/ },
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is GitHub's.
      { step: 'run: echo "${{ github.event.pull_request.title }}"', by: zizmor, says: /template-injection/ },
    ];
    for (const { step, by, says } of faults) {
      writeFileSync(path, job(step));
      const { ok, output } = await by(path);
      assert.ok(!ok && says.test(output), `${step}: ${output}`);
    }
  } finally {
    rmSync(place, { recursive: true });
  }
});

test('every action is pinned by its commit, and every job says what it may do', () => {
  for (const file of files) {
    const text = readFileSync(file, 'utf8');
    const used = [...text.matchAll(/uses: (\S+)/g)].map((match) => match[1] ?? '');
    assert.ok(used.length > 0);
    for (const action of used) assert.match(action, /@[0-9a-f]{40}$/, file);
    const { permissions, jobs } = parse(text);
    assert.deepEqual(permissions, {}, file);
    for (const [name, job] of Object.entries<{ permissions?: object; 'timeout-minutes'?: number }>(jobs)) {
      assert.ok(job.permissions, `${file}: ${name} has no permissions`);
      assert.ok(job['timeout-minutes'], `${file}: ${name} may run for ever`);
    }
  }
});

test('every npm script that a workflow runs is one of package.json', () => {
  const { scripts } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
  const ran = files.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/npm run ([\w:]+)/g)].map((match) => match[1] ?? ''),
  );
  assert.ok(ran.length >= 4);
  for (const script of ran) assert.ok(script in scripts, `there is no script ${script}`);
});

test('shellcheck and yamllint have nothing to say about scripts and YAML', async () => {
  await must(tools.shellcheck, [join(projectRoot, '.ci/run')]);
  const rules =
    '{extends: default, rules: {line-length: disable, document-start: disable, braces: {max-spaces-inside: 1}, truthy: {check-keys: false}, comments: {min-spaces-from-content: 1}, comments-indentation: disable, indentation: {indent-sequences: whatever}, commas: disable}}';
  const yaml = [
    '.github',
    'argocd',
    'compose.yaml',
    'charts/llm-server/values.yaml',
    'charts/llm-server/values',
    'charts/llm-server/tests',
    'charts/router/values.yaml',
    'charts/router/values',
    'charts/router/tests',
    'charts/observability/values.yaml',
    'charts/observability/files/rules.yaml',
    'charts/observability/tests',
  ];
  const { ok, output } = await run(tools.yamllint, [
    '--strict',
    '--config-data',
    rules,
    ...yaml.map((path) => join(projectRoot, path)),
  ]);
  assert.ok(ok, output);
});
