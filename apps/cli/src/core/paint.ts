const code = (number: number) => (text: string) => `\u001b[${number}m${text}\u001b[0m`;
const [bold, dim, red, green, yellow] = [code(1), code(2), code(31), code(32), code(33)];

/** What needs a look is red, what changes yellow, what works green; the same letters at the same places. */
export const painted = (screen: string): string =>
  screen
    .split('\n')
    .map((line, index) => (index === 0 ? bold(line) : paintedLine(line)))
    .join('\n');

function paintedLine(line: string): string {
  if (line.startsWith('cluster ')) return dim(line);
  if (/ at-zero\b(?!,)/.test(line)) return dim(line);
  return line
    .replace(/ (silent|down)\b/, (word) => red(word))
    .replace(/ (booting|draining)\b/, (word) => yellow(word))
    .replace(/(cordoned|paused) \([^)]*\)/, (words) => yellow(words))
    .replace(/ ready\b/, (word) => green(word))
    .replace(/dead letters: [1-9]\d*/, (words) => red(words));
}

/** The first lines and columns of a screen, so that nothing wraps or scrolls; says what was left out. */
export function fitted(screen: string, { columns, rows }: { columns: number; rows: number }): string {
  const lines = screen.split('\n').map((line) => [...line].slice(0, columns).join(''));
  if (lines.length <= rows) return lines.join('\n');
  return [...lines.slice(0, rows - 1), `… ${lines.length - rows + 1} more lines`].join('\n');
}
