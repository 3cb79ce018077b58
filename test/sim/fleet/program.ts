/** A linear program as text in the CPLEX LP format, which HiGHS reads: least `objective` (terms to be added), in USD. */
export function minimise(
  objective: readonly string[],
  rows: readonly string[],
  bounds: readonly string[],
): string {
  return [
    'Minimize',
    ` usd: ${objective.join(' + ')}`,
    'Subject To',
    ...rows.map((row, index) => ` c${index}: ${row}`),
    'Bounds',
    ...bounds.map((bound) => ` ${bound}`),
    'End',
    '',
  ].join('\n');
}
