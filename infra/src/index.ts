import { Config, getStack, runtime } from '@pulumi/pulumi';
import { namespace, parseConfig } from './config.ts';
import { fleet } from './fleet.ts';

/** What `pulumi up` runs: reads the stack's configuration and makes its fleet. */
const config = parseConfig(getStack(), runtime.allConfig());
const repositoryToken = new Config(namespace).getSecret('repositoryToken');

export const { kubeconfigs, issuers, registries, egress, nameServers, dnsConfig } = fleet(config, {
  repositoryToken,
});
