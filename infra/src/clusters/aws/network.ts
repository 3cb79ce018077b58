import { DefaultSecurityGroup } from '@pulumi/aws/ec2/defaultSecurityGroup.js';
import { Eip } from '@pulumi/aws/ec2/eip.js';
import { InternetGateway } from '@pulumi/aws/ec2/internetGateway.js';
import { NatGateway } from '@pulumi/aws/ec2/natGateway.js';
import { RouteTable } from '@pulumi/aws/ec2/routeTable.js';
import { RouteTableAssociation } from '@pulumi/aws/ec2/routeTableAssociation.js';
import { Subnet } from '@pulumi/aws/ec2/subnet.js';
import { Vpc } from '@pulumi/aws/ec2/vpc.js';
import { all, type Output } from '@pulumi/pulumi';
import { cut } from '../subnets.ts';
import type { AwsScope } from './scope.ts';

export type AwsNetwork = {
  readonly privateSubnetIds: readonly Output<string>[];
  readonly egress: Output<string[]>;
};

/** Octets of the public subnets begin here; the private ones, 32 apart, end before. */
const publicFrom = 128;

/**
 * A VPC with one public and one private subnet per zone. Nodes live in the private ones and call out through NAT; the
 * public ones hold the gateways and load balancers.
 */
export function awsNetwork(scope: AwsScope): AwsNetwork {
  const { name, tags, opts, site } = scope;
  const { cidr, zones, natPerZone } = site.config;
  const vpc = new Vpc(
    name('vpc'),
    { cidrBlock: cidr, enableDnsHostnames: true, enableDnsSupport: true, tags: tags(name('vpc')) },
    opts,
  );
  // The security group that comes with a VPC lets its members talk freely. Adopted without rules, it admits nothing.
  new DefaultSecurityGroup(name('sg'), { vpcId: vpc.id, tags: tags(name('sg')) }, opts);
  const gateway = new InternetGateway(name('igw'), { vpcId: vpc.id, tags: tags(name('igw')) }, opts);
  const publicTable = new RouteTable(
    name('rt', 'public'),
    {
      vpcId: vpc.id,
      routes: [{ cidrBlock: '0.0.0.0/0', gatewayId: gateway.id }],
      tags: tags(name('rt', 'public')),
    },
    opts,
  );
  const publicSubnets = zones.map((zone, index) => {
    const subnet = subnetIn(scope, vpc, 'public', zone, cut(cidr, publicFrom + index, 24));
    attach(scope, `public-${zone}`, subnet, publicTable);
    return subnet;
  });
  const gateways = publicSubnets
    .slice(0, natPerZone ? zones.length : 1)
    .map((subnet, index) => natIn(scope, subnet, zones[index] ?? ''));
  const privateSubnets = zones.map((zone, index) => {
    const subnet = subnetIn(scope, vpc, 'private', zone, cut(cidr, index * 32, 19));
    const nat = gateways[index % gateways.length];
    if (nat === undefined) throw new Error('a network has at least one NAT gateway');
    const table = new RouteTable(
      name('rt', zone),
      {
        vpcId: vpc.id,
        routes: [{ cidrBlock: '0.0.0.0/0', natGatewayId: nat.gateway.id }],
        tags: tags(name('rt', zone)),
      },
      opts,
    );
    attach(scope, zone, subnet, table);
    return subnet;
  });
  return {
    privateSubnetIds: privateSubnets.map(({ id }) => id),
    egress: all(gateways.map(({ address }) => address.publicIp)).apply((list) =>
      list.map((ip) => `${ip}/32`),
    ),
  };
}

/** The load balancer tags tell Kubernetes which subnets are for outside and which for inside. */
const balancerTag = {
  public: { 'kubernetes.io/role/elb': '1' },
  private: { 'kubernetes.io/role/internal-elb': '1' },
} as const;

function subnetIn(
  { name, tags, opts }: AwsScope,
  vpc: Vpc,
  side: 'public' | 'private',
  zone: string,
  cidrBlock: string,
): Subnet {
  const called = name('subnet', `${side}-${zone}`);
  return new Subnet(
    called,
    {
      vpcId: vpc.id,
      availabilityZone: zone,
      cidrBlock,
      mapPublicIpOnLaunch: false,
      tags: { ...tags(called), ...balancerTag[side] },
    },
    opts,
  );
}

function attach({ name, opts }: AwsScope, part: string, subnet: Subnet, table: RouteTable): void {
  new RouteTableAssociation(
    `${name('rt', part)}-association`,
    { subnetId: subnet.id, routeTableId: table.id },
    opts,
  );
}

function natIn({ name, tags, opts }: AwsScope, subnet: Subnet, zone: string) {
  const called = name('nat', zone);
  const address = new Eip(`${called}-ip`, { domain: 'vpc', tags: tags(called) }, opts);
  const gateway = new NatGateway(
    called,
    { subnetId: subnet.id, allocationId: address.id, tags: tags(called) },
    opts,
  );
  return { address, gateway };
}
