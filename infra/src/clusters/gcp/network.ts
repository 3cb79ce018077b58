import { Address } from '@pulumi/gcp/compute/address.js';
import { Network } from '@pulumi/gcp/compute/network.js';
import { Router } from '@pulumi/gcp/compute/router.js';
import { RouterNat } from '@pulumi/gcp/compute/routerNat.js';
import { Subnetwork } from '@pulumi/gcp/compute/subnetwork.js';
import { Service } from '@pulumi/gcp/projects/service.js';
import type { Output } from '@pulumi/pulumi';
import { cut } from '../subnets.ts';
import type { GcpScope } from './scope.ts';

export type GcpNetwork = {
  readonly network: Network;
  readonly subnet: Subnetwork;
  readonly nat: RouterNat;
  readonly egress: Output<string[]>;
};

/** The APIs that the program calls. They stay on when a stack goes: others in the project may use them. */
const services = [
  'compute',
  'container',
  'artifactregistry',
  'dns',
  'iam',
  'cloudresourcemanager',
  'monitoring',
  'billingbudgets',
] as const;

/** Names of the secondary ranges. */
export const ranges = { pods: 'pods', services: 'services' } as const;

/** One VPC and subnet; nodes have private addresses and call out through one reserved address. */
export function gcpNetwork(scope: GcpScope): GcpNetwork {
  const { name, labels, opts, site } = scope;
  const { cidr, region, project } = site.config;
  const enabled = services.map(
    (service) =>
      new Service(
        `${name('vpc')}-api-${service}`,
        { project, service: `${service}.googleapis.com`, disableOnDestroy: false },
        opts,
      ),
  );
  const network = new Network(
    name('vpc'),
    { name: name('vpc'), autoCreateSubnetworks: false },
    { ...opts, dependsOn: enabled },
  );
  const subnet = new Subnetwork(
    name('subnet'),
    {
      name: name('subnet'),
      network: network.id,
      region,
      ipCidrRange: cut(cidr, 0, 20),
      secondaryIpRanges: [
        { rangeName: ranges.services, ipCidrRange: cut(cidr, 16, 20) },
        { rangeName: ranges.pods, ipCidrRange: cut(cidr, 128, 17) },
      ],
      privateIpGoogleAccess: true,
    },
    opts,
  );
  const router = new Router(name('router'), { name: name('router'), network: network.id, region }, opts);
  const address = new Address(name('ip'), { name: name('ip'), region, labels }, opts);
  const nat = new RouterNat(
    name('nat'),
    {
      name: name('nat'),
      router: router.name,
      region,
      // A reserved address: the other clusters admit calls from it.
      natIpAllocateOption: 'MANUAL_ONLY',
      natIps: [address.selfLink],
      sourceSubnetworkIpRangesToNat: 'ALL_SUBNETWORKS_ALL_IP_RANGES',
      logConfig: { enable: true, filter: 'ERRORS_ONLY' },
    },
    opts,
  );
  return { network, subnet, nat, egress: address.address.apply((ip) => [`${ip}/32`]) };
}
