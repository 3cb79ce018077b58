/** Percent of a month's budget at which a mail is sent, in every cloud. */
export const warnAt = [50, 80, 100] as const;

/** Percent that the month is forecast to reach. */
export const forecastAt = 100;
