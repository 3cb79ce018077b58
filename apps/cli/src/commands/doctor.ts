import { readFileSync } from 'node:fs';
import { type Command, readArgs } from '../command.ts';
import type { Finding } from '../core/doctor.ts';
import { table } from '../core/table.ts';
import { CliError } from '../errors.ts';
import { examine } from '../nats/examine.ts';

const mark = { ok: '✓', warning: '!', failed: '✗' } as const;
const patienceMs = 10_000;

/** Whether everything is as it should be; the exit code says so. */
export const doctor: Command = {
  name: 'doctor',
  usage: '[--url <ingress>] [--key-file <file>] [--json]',
  summary: 'checks streams, rights, clocks, prices, agents; ends with 1 when something is wrong',
  run: async (args, { io, connect }) => {
    const { values } = readArgs(args, {
      json: { type: 'boolean' },
      url: { type: 'string' },
      'key-file': { type: 'string' },
    });
    const findings = await examine(await connect());
    if (values.url !== undefined) findings.push(await ingress(values.url));
    if (values.url !== undefined && values['key-file'] !== undefined)
      findings.push(await prompt(values.url, values['key-file']));
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
};

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

/** One token, at the price of one. */
async function prompt(url: string, keyFile: string): Promise<Finding> {
  const check = 'prompt';
  try {
    const response = await fetch(new URL('/v1/chat/completions', url), {
      method: 'POST',
      headers: {
        authorization: `Bearer ${readFileSync(keyFile, 'utf8').trim()}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({
        model: 'smollm2',
        max_tokens: 1,
        messages: [{ role: 'user', content: 'Hello' }],
      }),
    });
    const text = await response.text();
    return response.ok
      ? { check, result: 'ok', text: `answered by ${response.headers.get('x-drover-cluster')}` }
      : { check, result: 'failed', text: `${response.status}: ${text.slice(0, 200)}` };
  } catch (error) {
    return { check, result: 'failed', text: reason(error) };
  }
}

const reason = (error: unknown): string =>
  error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
