import { Budget } from '@pulumi/azure-native/consumption/budget.js';
import { forecastAt, warnAt } from '../budget.ts';
import type { AzureScope } from './scope.ts';

/** Counts the tag `cluster` in the subscription: AKS keeps the nodes in a group of their own, with the same tags. */
export function azureBudget({ name, opts, site }: AzureScope): void {
  const notification = (threshold: number, thresholdType: 'Actual' | 'Forecasted') => ({
    enabled: true,
    operator: 'GreaterThan',
    threshold,
    thresholdType,
    contactEmails: [...site.budget.emails],
  });
  new Budget(
    name('budget'),
    {
      budgetName: name('budget'),
      scope: `/subscriptions/${site.config.subscriptionId}`,
      category: 'Cost',
      amount: site.config.budgetUsdPerMonth,
      timeGrain: 'Monthly',
      timePeriod: { startDate: `${site.budget.from}T00:00:00Z` },
      filter: { tags: { name: 'cluster', operator: 'In', values: [site.config.name] } },
      notifications: {
        ...Object.fromEntries(
          warnAt.map((percent) => [`actual-${percent}`, notification(percent, 'Actual')]),
        ),
        [`forecast-${forecastAt}`]: notification(forecastAt, 'Forecasted'),
      },
    },
    opts,
  );
}
