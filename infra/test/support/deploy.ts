import * as pulumi from '@pulumi/pulumi';
import type { Config } from '../../src/config.ts';
import { type FleetOutputs, fleet } from '../../src/fleet.ts';
import { fakeOutputs } from './fake-cloud.ts';

/** A resource as the program asked for it. */
export type Recorded = {
  readonly type: string;
  readonly name: string;
  /** Plain values: secrets are unwrapped. */
  readonly inputs: Readonly<Record<string, unknown>>;
};

export type Deployed = {
  readonly resources: readonly Recorded[];
  readonly outputs: FleetOutputs;
};

/** Runs the program against a fake cloud, and waits until it has asked for everything. */
export async function deploy(config: Config, repositoryToken?: string): Promise<Deployed> {
  const resources: Recorded[] = [];
  // Pulumi notes the stack of every promise, which takes longer than all the rest.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        const given: Readonly<Record<string, unknown>> = inputs;
        resources.push({ type, name, inputs: given });
        return { id: `${name}-id`, state: { ...given, ...fakeOutputs(type, name, given) } };
      },
      call: ({ token, inputs }) => fakeOutputs(token, token, inputs),
    },
    'drover',
    config.env,
    false,
  );
  const token = repositoryToken === undefined ? undefined : pulumi.secret(repositoryToken);
  const outputs = fleet(config, { repositoryToken: token });
  await pulumi.runtime.disconnect();
  Error.stackTraceLimit = stackTraceLimit;
  return { resources, outputs };
}

/** The value of an output, whether it is a secret or not. */
export const settled = <T>(output: pulumi.Output<T>): Promise<pulumi.Unwrap<T>> =>
  new Promise((resolve) => {
    pulumi.output(output).apply(resolve);
  });
