import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../infra/local/src/parts.ts';
import { problemsOf } from '../support/command-rules.ts';
import { documents, scriptsIn } from '../support/doc-commands.ts';

const read = (file: string): string => readFileSync(join(projectRoot, file), 'utf8');

test('every command that a document tells to type could be run: programs, flags, scripts and files are there', () => {
  const scripts = documents().map((file) => scriptsIn(file, read(file)));
  const blocks = scripts.flat().filter(({ inline }) => !inline).length;
  assert.ok(blocks > 15 && scripts.flat().length - blocks > 80, 'the check sees next to nothing');
  assert.deepEqual(scripts.flatMap(problemsOf), []);
});

/** Errors that a document may come to have: the file as it is, with one word changed. */
const errors: readonly (readonly [file: string, right: string, wrong: string, problem: RegExp])[] = [
  ['docs/providers.md', ' OPENAI_LIMIT_FIELD=', ' OPENAI_LIMIT=', /no variable OPENAI_LIMIT$/],
  [
    'docs/operate.md',
    'aws-us-east-1 --reason "no',
    'aws-us-east-1 --because "no',
    /Unknown option '--because'/,
  ],
  ['docs/operate.md', '$ drover dead list', '$ drover dead lists', /no command is called "dead lists"/],
  [
    'docs/operate.md',
    '`drover drain aws-us-east-1 --reason',
    '`drover drain aws us --reason',
    /what is "us" for/,
  ],
  ['docs/experiments.md', '--hours 24 > dec', '--days 1 > dec', /Unknown option '--days'/],
  [
    'docs/experiments.md',
    'npm run replay -- --decisions',
    'npm run again -- --decisions',
    /no npm script "again"/,
  ],
  ['docs/experiments.md', '--policy other.json', '--policies other.json', /no flag --policies/],
  [
    'docs/providers.md',
    'node apps/agent/src/main.ts',
    'node apps/agent/main.ts',
    /no file apps\/agent\/main.ts/,
  ],
  [
    'docs/infra.md',
    '../argocd/root/dev.yaml',
    '../argocd/root/test.yaml',
    /no file \.\.\/argocd\/root\/test.yaml/,
  ],
  [
    'docs/infra.md',
    '--secret drover:repositoryToken',
    '--secret drover:repositoryKey',
    /knows no repositoryKey/,
  ],
  ['docs/costs.md', '8080/v1/costs', '8080/v1/bills', /no route \/v1\/bills/],
  [
    'docs/producers.md',
    '"\\$JS.API.CONSUMER.CREATE.LLM_REPLIES',
    '"\\$JS.API.CONSUMER.CREATE.LLM_REPLY',
    /nor a bucket LLM_REPLY/,
  ],
  ['docs/producers.md', 'jq -e', 'yq -e', /nothing is known of yq/],
  ['docs/producers.md', 'done | jq', '| jq', /syntax error/],
  ['test/fault/README.md', '--nodes 3 ', '--servers 3 ', /no flag --servers/],
];

for (const [file, right, wrong, problem] of errors)
  test(`${file} with "${wrong}" would be found out`, () => {
    const text = read(file);
    assert.ok(text.includes(right), `${file} has no "${right}" any more`);
    const [found, ...others] = problemsOf(scriptsIn(file, text.replace(right, wrong)));
    assert.match(found ?? 'nothing was found', problem);
    assert.deepEqual(others, []);
  });
