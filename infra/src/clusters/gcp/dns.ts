import { DnsManagedZoneIamMember } from '@pulumi/gcp/dns/dnsManagedZoneIamMember.js';
import { ManagedZone } from '@pulumi/gcp/dns/managedZone.js';
import { IAMMember } from '@pulumi/gcp/projects/iammember.js';
import { output } from '@pulumi/pulumi';
import { dnsEditors } from '../../spec.ts';
import type { DnsZone } from '../types.ts';
import { workloadPool } from './control-plane.ts';
import type { GcpNetwork } from './network.ts';
import type { GcpScope } from './scope.ts';

/** The environment's zone. Its editors are bound by the names of their service accounts, without any key. */
export function gcpDns(scope: GcpScope, domain: string, { network }: GcpNetwork): DnsZone {
  const { name, labels, opts, site } = scope;
  const { project, projectNumber } = site.config;
  const zone = new ManagedZone(
    name('zone'),
    {
      name: name('zone'),
      project,
      dnsName: `${domain}.`,
      description: `Drover, ${site.env}`,
      dnssecConfig: { state: 'on' },
      forceDestroy: site.env === 'dev',
      labels,
    },
    { ...opts, dependsOn: [network] },
  );
  const pool = `iam.googleapis.com/projects/${projectNumber}/locations/global/workloadIdentityPools/${workloadPool(scope)}`;
  for (const { namespace, serviceAccount } of dnsEditors) {
    const member = `principal://${pool}/subject/ns/${namespace}/sa/${serviceAccount}`;
    new DnsManagedZoneIamMember(
      `${name('zone')}-${serviceAccount}`,
      { project, managedZone: zone.name, role: 'roles/dns.admin', member },
      opts,
    );
    // To find the zone among those of the project.
    new IAMMember(
      `${name('zone')}-${serviceAccount}-list`,
      { project, role: 'roles/dns.reader', member },
      opts,
    );
  }
  return { nameServers: zone.nameServers, identity: output(''), scope: output(project), config: output('') };
}
