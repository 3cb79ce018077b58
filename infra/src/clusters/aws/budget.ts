import { Budget } from '@pulumi/aws/budgets/budget.js';
import { forecastAt, warnAt } from '../budget.ts';
import type { AwsScope } from './scope.ts';

/** Counts by the tag `cluster`, which has to be activated as a cost allocation tag once per account. */
export function awsBudget({ name, tags, opts, site }: AwsScope): void {
  const notification = (threshold: number, notificationType: 'ACTUAL' | 'FORECASTED') => ({
    comparisonOperator: 'GREATER_THAN',
    threshold,
    thresholdType: 'PERCENTAGE',
    notificationType,
    subscriberEmailAddresses: [...site.budget.emails],
  });
  new Budget(
    name('budget'),
    {
      name: name('budget'),
      budgetType: 'COST',
      limitAmount: String(site.config.budgetUsdPerMonth),
      limitUnit: 'USD',
      timeUnit: 'MONTHLY',
      costFilters: [{ name: 'TagKeyValue', values: [`user:cluster$${site.config.name}`] }],
      notifications: [
        ...warnAt.map((percent) => notification(percent, 'ACTUAL')),
        notification(forecastAt, 'FORECASTED'),
      ],
      tags: tags(name('budget')),
    },
    opts,
  );
}
