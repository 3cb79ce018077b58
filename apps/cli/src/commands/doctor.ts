import { readFileSync } from 'node:fs';
import type { Nats } from '@drover/runtime';
import { buckets, catalogue, policyKeys } from '@drover/schemas';
import { command } from '../command.ts';
import type { Finding } from '../core/doctor.ts';
import { table } from '../core/table.ts';
import { CliError } from '../errors.ts';
import { examine } from '../nats/examine.ts';
import { readKeys } from '../nats/keys.ts';

const mark = { ok: '✓', warning: '!', failed: '✗' } as const;
const patienceMs = 10_000;

/** Whether everything is as it should be; the exit code says so. */
export const doctor = command({
  name: 'doctor',
  usage: '[--url <ingress>] [--key-file <file>] [--json]',
  summary: 'checks streams, rights, clocks, prices, agents; ends with 1 when something is wrong',
  options: {
    json: { type: 'boolean' },
    url: { type: 'string' },
    'key-file': { type: 'string' },
  },
  run: async ({ values }, { io, connect }) => {
    const nats = await connect();
    const findings = await examine(nats);
    if (values.url !== undefined) findings.push(await ingress(values.url));
    if (values.url !== undefined && values['key-file'] !== undefined)
      findings.push(await prompt(values.url, values['key-file'], await chatModel(nats)));
    if (values.json) io.out(JSON.stringify(findings));
    else
      io.out(
        table(
          ['', 'check', 'found'],
          findings.map((one) => [mark[one.result], one.check, one.text]),
        ),
      );
    const failed = findings.filter(({ result }) => result === 'failed');
    if (failed.length > 0)
      throw new CliError('unhealthy', `not as it should be: ${failed.map(({ check }) => check).join(', ')}`);
  },
});

async function ingress(url: string): Promise<Finding> {
  const check = 'ingress';
  try {
    const response = await fetch(new URL('/readyz', url), { signal: AbortSignal.timeout(patienceMs) });
    const text = (await response.text()).slice(0, 200);
    return response.ok
      ? { check, result: 'ok', text: `${url} is ready` }
      : { check, result: 'failed', text: `${url} answers ${response.status}: ${text}` };
  } catch (error) {
    return { check, result: 'failed', text: `${url} cannot be reached: ${reason(error)}` };
  }
}

/** The first model of the catalogue that chats. */
async function chatModel(nats: Nats): Promise<string | undefined> {
  const [offer] = await readKeys(nats, buckets.policy.name, policyKeys.models, catalogue);
  return offer?.value.models.find(({ endpoints }) => endpoints.includes('chat'))?.name;
}

/** One token, at the price of one. */
async function prompt(url: string, keyFile: string, model: string | undefined): Promise<Finding> {
  const check = 'prompt';
  if (model === undefined) return { check, result: 'failed', text: 'no model of the catalogue chats' };
  try {
    const response = await fetch(new URL('/v1/chat/completions', url), {
      method: 'POST',
      headers: {
        authorization: `Bearer ${readFileSync(keyFile, 'utf8').trim()}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({
        model,
        max_tokens: 1,
        messages: [{ role: 'user', content: 'Hello' }],
      }),
    });
    const text = await response.text();
    return response.ok
      ? { check, result: 'ok', text: `${model} is answered by ${response.headers.get('x-drover-cluster')}` }
      : { check, result: 'failed', text: `${response.status}: ${text.slice(0, 200)}` };
  } catch (error) {
    return { check, result: 'failed', text: reason(error) };
  }
}

const reason = (error: unknown): string =>
  error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
