import { at, list, texts } from '../support/read.ts';
import { type Check, ofType, types } from './check.ts';

/** Every cluster has a budget that somebody hears of. */
export const everyClusterHasABudget: Check = (resources) => [
  ...(
    [
      [types.eks, types.awsBudget],
      [types.gke, types.gcpBudget],
      [types.aks, types.azureBudget],
    ] as const
  ).flatMap(([cluster, budget]) =>
    ofType(resources, cluster).length === ofType(resources, budget).length
      ? []
      : [`${cluster}: as many budgets as clusters are wanted`],
  ),
  ...ofType(resources, types.gcpBudget)
    .filter(({ inputs }) => list(at(inputs, 'allUpdatesRule', 'monitoringNotificationChannels')).length === 0)
    .map(({ name }) => `${name}: tells nobody`),
  ...[...ofType(resources, types.awsBudget), ...ofType(resources, types.azureBudget)]
    .filter(({ inputs }) => !texts(at(inputs, 'notifications')).some(({ text }) => text.includes('@')))
    .map(({ name }) => `${name}: tells nobody`),
];
