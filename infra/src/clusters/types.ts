import type { ComponentResource, Output, Resource } from '@pulumi/pulumi';
import type { ClusterConfig } from '../config.ts';
import type { Cloud, Environment, Role } from '../spec.ts';

/** What a cloud's program is told about one cluster. */
export type Site<C extends ClusterConfig> = {
  readonly env: Environment;
  readonly config: C;
  /** Tags or labels of everything that belongs to the cluster. */
  readonly labels: Readonly<Record<string, string>>;
  /** The DNS zone to make; the hub's only, because nothing on a leaf is reached by name. */
  readonly domain: string | undefined;
  readonly budget: { readonly emails: readonly string[]; readonly from: string };
  /** Parent of all its resources. It carries the cloud's provider. */
  readonly parent: ComponentResource;
};

/**
 * A cluster comes in two steps, because the API of each leaf admits the addresses that the hub calls from, and the hub's
 * load balancer those of the leaves: all networks are made first.
 */
export type Foundation = {
  /** The addresses that the cluster's nodes call out from, as /32 networks. They stay the same for its whole life. */
  readonly egress: Output<string[]>;
  /**
   * Makes the cluster in its network.
   * @param admins networks that may call the Kubernetes API; none makes it private
   */
  readonly build: (admins: Output<string[]>) => Cluster;
};

export type CloudProgram<C extends ClusterConfig> = (site: Site<C>) => Foundation;

/** One running cluster, the same in every cloud. */
export type Cluster = {
  readonly name: string;
  readonly cloud: Cloud;
  readonly region: string;
  readonly role: Role;
  /** URL of the Kubernetes API. */
  readonly server: Output<string>;
  /** Certificate authority of the API, PEM in base64. */
  readonly certificateAuthority: Output<string>;
  /** A secret, although it names a login command instead of a credential: it tells where the API is. */
  readonly kubeconfig: Output<string>;
  /** Issuer of service account tokens, which the cloud trusts. */
  readonly issuer: Output<string>;
  /** Prefix of image names, without a trailing slash. */
  readonly registry: Output<string>;
  /** Present on the hub. */
  readonly dns: DnsZone | undefined;
  /** What must stand before pods can run. */
  readonly ready: readonly Resource[];
};

export type DnsZone = {
  /** To be entered at the parent zone, by hand, once. */
  readonly nameServers: Output<string[]>;
  /** Identity that the DNS editors assume; empty where the cloud binds by service account name. */
  readonly identity: Output<string>;
  /** Zone id (AWS), project (GCP), `subscription/group` (Azure): where the editors find the zone. */
  readonly scope: Output<string>;
  /** The file that external-dns reads, which holds no secret; empty where it needs none. */
  readonly config: Output<string>;
};
