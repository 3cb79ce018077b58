import { NatGateway } from '@pulumi/azure-native/network/natGateway.js';
import { PublicIPAddress } from '@pulumi/azure-native/network/publicIPAddress.js';
import { Subnet } from '@pulumi/azure-native/network/subnet.js';
import { VirtualNetwork } from '@pulumi/azure-native/network/virtualNetwork.js';
import type { Output } from '@pulumi/pulumi';
import { cut } from '../subnets.ts';
import type { AzureScope } from './scope.ts';

export type AzureNetwork = { readonly subnet: Subnet; readonly egress: Output<string[]> };

/** A VNet with one subnet; nodes have private addresses and call out through one static address. */
export function azureNetwork({ name, tags, opts, place, site }: AzureScope): AzureNetwork {
  const nodes = cut(site.config.cidr, 0, 20);
  const address = new PublicIPAddress(
    name('ip'),
    {
      ...place,
      publicIpAddressName: name('ip'),
      sku: { name: 'Standard' },
      publicIPAllocationMethod: 'Static',
      publicIPAddressVersion: 'IPv4',
      tags,
    },
    opts,
  );
  const nat = new NatGateway(
    name('nat'),
    {
      ...place,
      natGatewayName: name('nat'),
      sku: { name: 'Standard' },
      publicIpAddresses: [{ id: address.id }],
      tags,
    },
    opts,
  );
  const network = new VirtualNetwork(
    name('vnet'),
    { ...place, virtualNetworkName: name('vnet'), addressSpace: { addressPrefixes: [nodes] }, tags },
    // The subnet is a resource of its own and must not be taken away by an update of the network.
    { ...opts, ignoreChanges: ['subnets'] },
  );
  const subnet = new Subnet(
    name('subnet'),
    {
      resourceGroupName: place.resourceGroupName,
      virtualNetworkName: network.name,
      subnetName: name('subnet'),
      addressPrefix: nodes,
      natGateway: { id: nat.id },
      defaultOutboundAccess: false,
    },
    opts,
  );
  return { subnet, egress: address.ipAddress.apply((ip) => [`${ip ?? ''}/32`]) };
}
