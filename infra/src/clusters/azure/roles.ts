import { RoleAssignment } from '@pulumi/azure-native/authorization/roleAssignment.js';
import type { Input } from '@pulumi/pulumi';
import type { AzureScope } from './scope.ts';

/** Ids of Azure's built-in roles; they are the same in every tenant. */
export const builtInRoles = {
  acrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d',
  dnsZoneContributor: 'befefa01-2a29-4197-83a8-272ff33ce314',
  networkContributor: '4d97b98b-1d4f-4787-a291-c67834d212e7',
  reader: 'acdd72a7-3385-48ef-bd42-f606fba81ae7',
} as const;

/** Gives an identity a built-in role on one thing. */
export function grant(
  { opts, site }: AzureScope,
  called: string,
  role: keyof typeof builtInRoles,
  principalId: Input<string>,
  on: Input<string>,
): RoleAssignment {
  return new RoleAssignment(
    called,
    {
      principalId,
      principalType: 'ServicePrincipal',
      roleDefinitionId: `/subscriptions/${site.config.subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${builtInRoles[role]}`,
      scope: on,
    },
    opts,
  );
}
