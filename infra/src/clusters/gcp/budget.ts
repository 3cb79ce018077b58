import { Budget } from '@pulumi/gcp/billing/budget.js';
import { NotificationChannel } from '@pulumi/gcp/monitoring/notificationChannel.js';
import { forecastAt, warnAt } from '../budget.ts';
import type { GcpNetwork } from './network.ts';
import type { GcpScope } from './scope.ts';

/** Counts by the label `cluster` within the project. */
export function gcpBudget({ name, labels, opts, site }: GcpScope, { network }: GcpNetwork): void {
  const { project, projectNumber, billingAccount, budgetUsdPerMonth } = site.config;
  const channels = site.budget.emails.map(
    (email, index) =>
      new NotificationChannel(
        name('alert', String(index)),
        {
          project,
          displayName: name('alert', String(index)),
          type: 'email',
          labels: { email_address: email },
          userLabels: labels,
        },
        { ...opts, dependsOn: [network] },
      ),
  );
  new Budget(
    name('budget'),
    {
      billingAccount,
      displayName: name('budget'),
      amount: { specifiedAmount: { currencyCode: 'USD', units: String(budgetUsdPerMonth) } },
      budgetFilter: {
        projects: [`projects/${projectNumber}`],
        labels: { cluster: site.config.name },
        calendarPeriod: 'MONTH',
      },
      thresholdRules: [
        ...warnAt.map((percent) => ({ thresholdPercent: percent / 100, spendBasis: 'CURRENT_SPEND' })),
        { thresholdPercent: forecastAt / 100, spendBasis: 'FORECASTED_SPEND' },
      ],
      allUpdatesRule: {
        monitoringNotificationChannels: channels.map(({ name: channel }) => channel),
        disableDefaultIamRecipients: true,
      },
    },
    { ...opts, dependsOn: [network] },
  );
}
