/** What a provider would compute, as far as the program reads it. */
type Fake = (name: string, inputs: Readonly<Record<string, unknown>>) => Record<string, unknown>;

/** A different, stable address for every name, out of a range for documentation and tests (RFC 2544). */
const addressOf = (name: string): string => {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.charCodeAt(0)) % 65_536;
  return `198.18.${sum >> 8}.${sum % 256}`;
};

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const authority = base64('fake certificate authority');
const nameServers = ['ns1.example.net', 'ns2.example.net'];

const fakes: Readonly<Record<string, Fake>> = {
  'aws:ec2/eip:Eip': (name) => ({ publicIp: addressOf(name) }),
  'aws:ec2/launchTemplate:LaunchTemplate': () => ({ latestVersion: 1 }),
  'aws:ecr/repository:Repository': (name) => ({
    repositoryUrl: `111122223333.dkr.ecr.fake.amazonaws.com/${name}`,
  }),
  'aws:eks/cluster:Cluster': (name) => ({
    endpoint: `https://${name}.eks.fake`,
    certificateAuthority: { data: authority },
    identities: [{ oidcs: [{ issuer: `https://oidc.eks.fake/id/${name}` }] }],
  }),
  'aws:iam/openIdConnectProvider:OpenIdConnectProvider': (name) => ({
    arn: `arn:aws:iam::fake:oidc/${name}`,
  }),
  'aws:iam/role:Role': (name) => ({ arn: `arn:aws:iam::fake:role/${name}` }),
  'aws:route53/zone:Zone': (name) => ({
    arn: `arn:aws:route53:::hostedzone/${name}`,
    zoneId: 'Z0FAKE',
    nameServers,
  }),
  'gcp:compute/address:Address': (name) => ({ address: addressOf(name), selfLink: `fake/${name}` }),
  'gcp:container/cluster:Cluster': (name) => ({
    endpoint: addressOf(`${name}-endpoint`),
    masterAuth: { clusterCaCertificate: authority },
  }),
  'gcp:dns/managedZone:ManagedZone': () => ({ nameServers }),
  'gcp:monitoring/notificationChannel:NotificationChannel': (name) => ({ name: `channels/${name}` }),
  'gcp:serviceaccount/account:Account': (name) => ({
    email: `${name}@fake.iam.gserviceaccount.com`,
    member: `serviceAccount:${name}@fake.iam.gserviceaccount.com`,
  }),
  'azure-native:network:PublicIPAddress': (name) => ({ ipAddress: addressOf(name) }),
  'azure-native:managedidentity:UserAssignedIdentity': (name) => ({
    clientId: `client-of-${name}`,
    principalId: `principal-of-${name}`,
  }),
  'azure-native:containerservice:ManagedCluster': (name) => ({
    oidcIssuerProfile: { enabled: true, issuerURL: `https://oidc.aks.fake/${name}/` },
    identityProfile: { kubeletidentity: { objectId: `kubelet-of-${name}` } },
  }),
  'azure-native:containerregistry:Registry': (name) => ({ loginServer: `${name}.azurecr.fake` }),
  'azure-native:dns:Zone': () => ({ nameServers }),
  'azure-native:containerservice:listManagedClusterUserCredentials': () => ({
    kubeconfigs: [
      {
        name: 'clusterUser',
        value: base64(
          JSON.stringify({
            clusters: [
              {
                name: 'fake',
                cluster: { server: 'https://aks.fake:443', 'certificate-authority-data': authority },
              },
            ],
          }),
        ),
      },
    ],
  }),
  'kubernetes:core/v1:Secret': (_name, inputs) =>
    inputs.type === 'kubernetes.io/service-account-token' ? { data: { token: base64('fake-token') } } : {},
};

/** Azure calls a resource by an argument such as `registryName`, and tells it back as `name`. */
const azureName = (type: string, name: string): Record<string, unknown> =>
  type.startsWith('azure-native:') ? { name } : {};

export const fakeOutputs = (
  type: string,
  name: string,
  inputs: Readonly<Record<string, unknown>>,
): Record<string, unknown> => ({ ...azureName(type, name), ...fakes[type]?.(name, inputs) });
