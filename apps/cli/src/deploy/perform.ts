import { parseValue } from '@drover/schemas';
import { z } from 'zod';
import { kubectl, pulumi, withRegistries } from '../core/deploy/tools.ts';
import type { Action, Command, Paths, Resource, Source } from '../core/deploy/types.ts';
import { commandText } from '../core/deploy/words.ts';
import { CliError } from '../errors.ts';
import { lastLine } from './check.ts';
import { asData, hasSecrets, makeSecrets, manifestOf, valuesOf } from './secrets.ts';
import type { Ran, World } from './world.ts';

/** Whether an action needs not be done; `always` when only doing it can tell. */
export type Settled = 'yes' | 'no' | 'always';

const texts = z.record(z.string(), z.string());
const resource = z.looseObject({ data: texts.default({}) });

/** Carries actions out, and sees whether they were. */
export class Performer {
  readonly #world: World;
  readonly #paths: Paths;
  readonly #stack: string;
  readonly #say: (line: string) => void;
  #registries: Promise<Record<string, string>> | undefined;

  constructor(parts: { world: World; paths: Paths; stack: string; say: (line: string) => void }) {
    this.#world = parts.world;
    this.#paths = parts.paths;
    this.#stack = parts.stack;
    this.#say = parts.say;
  }

  async settled(action: Action): Promise<Settled> {
    switch (action.kind) {
      case 'run': {
        if (action.doneIf === undefined) return 'always';
        const command = await this.#resolved(action.doneIf);
        return command !== undefined && (await this.#world.run(command)).code === 0 ? 'yes' : 'no';
      }
      case 'make-secrets':
        return hasSecrets(action, this.#world) ? 'yes' : 'no';
      case 'kubeconfigs': {
        const found = await this.#kubeconfigs(action).catch(() => undefined);
        return found?.every(([file, text]) => this.#world.read(file) === text) ? 'yes' : 'no';
      }
      case 'apply':
        return this.#has(action.resource, await this.#dataOf(action.resource));
      case 'copy': {
        const data = await this.#copied(action);
        return data === undefined ? 'no' : this.#has(action.to, data);
      }
      case 'delegation':
        return (await this.#undelegated(action).catch(() => 'unknown')) === undefined ? 'yes' : 'no';
      default:
        return 'always';
    }
  }

  /** @throws CliError `failed` with the command and what it said last */
  async perform(action: Action): Promise<void> {
    switch (action.kind) {
      case 'run':
        return void (await this.#must(action.command, { onLine: this.#say }));
      case 'pipe': {
        const { stdout } = await this.#must(action.from);
        return void (await this.#must(action.to, { input: stdout }));
      }
      case 'make-secrets':
        return makeSecrets(action, this.#world);
      case 'kubeconfigs':
        for (const [file, text] of await this.#kubeconfigs(action)) this.#world.write(file, text);
        return;
      case 'apply':
        return this.#apply(action.resource, await this.#dataOf(action.resource));
      case 'copy': {
        const data = await this.#copied(action);
        if (data === undefined)
          throw new CliError('failed', `${action.from.namespace}/${action.from.name} is not there yet`);
        return this.#apply(action.to, data);
      }
      case 'delegation': {
        const problem = await this.#undelegated(action);
        if (problem !== undefined) throw new CliError('failed', problem);
        return;
      }
      case 'first-token':
        return this.#firstToken(action);
      case 'at-hub': {
        await using _forward = await this.#world.beside(action.forward, /Forwarding from/);
        for (const words of action.commands) {
          const ran = await this.#world.drover(words, action.env, this.#say);
          if (ran.code !== 0)
            throw new CliError('failed', `drover ${words.join(' ')}: ${lastLine(ran.stderr)}`);
        }
        return;
      }
      default:
        return action satisfies never;
    }
  }

  /** With what the stack tells about registries; undefined while it tells nothing. */
  async #resolved(command: Command): Promise<Command | undefined> {
    const [program, ...args] = command.argv;
    if (!args.some((arg) => arg.includes('<registry'))) return command;
    this.#registries ??= this.#output('registries', texts);
    const registries = await this.#registries.catch(() => ({}));
    const known = args.map((arg) => withRegistries(arg, registries));
    return known.some((arg) => arg.includes('<registry'))
      ? undefined
      : { ...command, argv: [program, ...known] };
  }

  async #must(
    command: Command,
    more: { input?: string; onLine?: (line: string) => void } = {},
  ): Promise<Ran> {
    const resolved = await this.#resolved(command);
    if (resolved === undefined)
      throw new CliError('failed', `the stack tells no registry for: ${commandText(command)}`);
    const ran = await this.#world.run(resolved, more);
    if (ran.code !== 0)
      throw new CliError(
        'failed',
        `${commandText(resolved)} ended with ${ran.code}: ${lastLine(ran.stderr)}`,
      );
    return ran;
  }

  async #output<T>(name: string, schema: z.ZodType<T>): Promise<T> {
    const command = pulumi(this.#stack, ['stack', 'output', name, '--json']);
    return json(schema, (await this.#must(command)).stdout, name);
  }

  /** Files with their content: one per cluster, and one of the hub whose namespace is Argo CD's. */
  async #kubeconfigs(action: Action & { kind: 'kubeconfigs' }): Promise<[string, string][]> {
    const all = json(texts, (await this.#must(action.command)).stdout, 'kubeconfigs');
    const files = action.clusters.map((name): [string, string] => {
      const text = all[name];
      if (text === undefined) throw new CliError('failed', `the stack has no kubeconfig of ${name}`);
      return [`${name}.kubeconfig`, text];
    });
    return [...files, ['argocd.kubeconfig', inArgocd(all[action.hub] ?? '')]];
  }

  /** With what the stack tells in the place of its outputs' names. */
  async #told(wanted: Resource): Promise<Resource> {
    const entries = Object.entries(wanted.entries).map(async ([key, source]): Promise<[string, Source]> => {
      if (!('stackOutput' in source)) return [key, source];
      return [key, { text: await this.#output(source.stackOutput, z.string().min(1)) }];
    });
    return { ...wanted, entries: Object.fromEntries(await Promise.all(entries)) };
  }

  async #dataOf(wanted: Resource): Promise<Record<string, string> | undefined> {
    try {
      return asData(wanted.kind, valuesOf(await this.#told(wanted), this.#world));
    } catch {
      return undefined;
    }
  }

  async #has(wanted: Resource, data: Readonly<Record<string, string>> | undefined): Promise<Settled> {
    const found = data && (await this.#get(wanted));
    if (found === undefined || data === undefined) return 'no';
    return Object.entries(data).every(([key, value]) => found[key] === value) ? 'yes' : 'no';
  }

  /** The `data` of what is there; undefined when it is not. */
  async #get({ kind, cluster, namespace, name }: Resource): Promise<Record<string, string> | undefined> {
    const args = ['-n', namespace, 'get', kind.toLowerCase(), name, '-o', 'json'];
    const ran = await this.#world.run(kubectl(this.#paths, cluster, args));
    return ran.code === 0 ? json(resource, ran.stdout, name).data : undefined;
  }

  async #apply(wanted: Resource, data: Readonly<Record<string, string>> | undefined): Promise<void> {
    if (data === undefined)
      throw new CliError(
        'failed',
        `${wanted.name} cannot be made: run the steps "clusters" and "keys" first`,
      );
    // By the server: the client would keep a copy of every value in an annotation.
    const args = ['apply', '--server-side', '--field-manager=drover', '--force-conflicts', '-f', '-'];
    await this.#must(kubectl(this.#paths, wanted.cluster, args), { input: manifestOf(wanted, data) });
  }

  async #copied({ from, to, file }: Action & { kind: 'copy' }): Promise<Record<string, string> | undefined> {
    const found = await this.#get(from);
    if (found === undefined) return undefined;
    const keys = Object.keys(to.entries);
    const certificate = found['ca.crt'];
    if (file !== undefined && certificate !== undefined)
      this.#world.write(file, Buffer.from(certificate, 'base64').toString('utf8'));
    return keys.every((key) => key in found)
      ? Object.fromEntries(keys.map((key) => [key, found[key] ?? '']))
      : undefined;
  }

  /** What is still to be done by a person; undefined when nothing is. */
  async #undelegated({ domain, nameServers }: Action & { kind: 'delegation' }): Promise<string | undefined> {
    const { stdout } = await this.#must(nameServers);
    const wanted = json(z.array(z.string()), stdout, 'nameServers').map(plain);
    const found = (await this.#world.resolveNs(domain).catch(() => [])).map(plain);
    if (wanted.length > 0 && wanted.every((name) => found.includes(name))) return undefined;
    return `${domain} is not handed over yet: enter these as its NS at the parent zone, then start again: ${wanted.join(', ')}`;
  }

  async #firstToken({ url, keyFile }: Action & { kind: 'first-token' }): Promise<void> {
    const key = this.#world.read(keyFile);
    if (key === undefined) throw new CliError('failed', `${keyFile} is not there: run the step "keys" first`);
    const startedMs = performance.now();
    const response = await this.#world.fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key.trim()}`,
        'content-type': 'application/json',
        // A node from zero, an image and a model take minutes.
        'x-drover-deadline-ms': '1800000',
      },
      body: JSON.stringify({
        model: 'smollm2',
        max_tokens: 16,
        messages: [{ role: 'user', content: 'Why is the sky blue?' }],
      }),
    });
    const text = await response.text();
    if (!response.ok)
      throw new CliError('failed', `${url} answered ${response.status}: ${text.slice(0, 300)}`);
    const took = ((performance.now() - startedMs) / 1_000).toFixed(1);
    this.#say(`answered by ${response.headers.get('x-drover-cluster') ?? 'a cluster'} after ${took} s`);
  }
}

const plain = (name: string): string => name.toLowerCase().replace(/\.$/, '');

/** The same cluster with the namespace that `argocd --core` looks into. */
function inArgocd(kubeconfig: string): string {
  const contexts = z.array(z.looseObject({ context: z.looseObject({}) }));
  const config = json(z.looseObject({ contexts }), kubeconfig, 'the kubeconfig of the hub');
  return JSON.stringify({
    ...config,
    contexts: config.contexts.map((one) => ({ ...one, context: { ...one.context, namespace: 'argocd' } })),
  });
}

function json<T>(schema: z.ZodType<T>, text: string, what: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CliError('failed', `${what} is not JSON`);
  }
  const parsed = parseValue<T>(schema, value);
  // What was read may be a secret: it is not repeated.
  if (!parsed.ok) throw new CliError('failed', `${what} is not as it should be`);
  return parsed.value;
}
