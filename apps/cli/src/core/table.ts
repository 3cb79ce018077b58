/** Pure. Rows under a heading, in columns; the text of a cell that is not known is a dash. */
export function table(
  heading: readonly string[],
  rows: readonly (readonly (string | undefined)[])[],
): string {
  const cells = [heading, ...rows.map((row) => row.map((cell) => cell ?? '-'))];
  const widths = heading.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
