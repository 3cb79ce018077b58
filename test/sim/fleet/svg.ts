/** Plots as text: no library, the same bytes for the same figures. */
const width = 840;
const ink = '#333';
const colours: Readonly<Record<string, string>> = {
  ours: '#0b7a75',
  baseline: '#c1440e',
  ablation: '#8d8d8d',
  oracle: '#5b3fa0',
};
export const clusterColours = ['#c1440e', '#0b7a75', '#3a6ea5'];

export type Point = { readonly label: string; readonly kind: string; readonly x: number; readonly y: number };

const round = (value: number): string => value.toFixed(1);
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const text = (x: number, y: number, content: string, more = ''): string =>
  `<text x="${round(x)}" y="${round(y)}" ${more}>${escaped(content)}</text>`;

function frame(height: number, title: string, body: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="${ink}">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(16, 22, title, 'font-size="14" font-weight="bold"'),
    ...body,
    '</svg>',
    '',
  ].join('\n');
}

/** Each point with its name; names are moved down where they would cover each other. */
export function scatter(title: string, xName: string, yName: string, points: readonly Point[]): string {
  const height = 460;
  const box = { left: 64, right: width - 280, top: 44, bottom: height - 48 };
  const xMax = Math.max(...points.map(({ x }) => x)) * 1.08;
  const yMin = Math.min(...points.map(({ y }) => y)) - 2;
  const yMax = 100;
  const at = ({ x, y }: { x: number; y: number }) => ({
    cx: box.left + (x / xMax) * (box.right - box.left),
    cy: box.bottom - ((y - yMin) / (yMax - yMin)) * (box.bottom - box.top),
  });
  const body = [
    `<path d="M${box.left} ${box.top}V${box.bottom}H${box.right}" fill="none" stroke="${ink}"/>`,
    text((box.left + box.right) / 2, height - 12, xName, 'text-anchor="middle"'),
    text(16, 38, yName),
  ];
  for (let tick = 0; tick <= 4; tick++) {
    const x = (xMax * tick) / 4;
    const y = yMin + ((yMax - yMin) * tick) / 4;
    const { cx, cy } = at({ x, y });
    body.push(text(cx, box.bottom + 16, x.toPrecision(3), 'text-anchor="middle"'));
    body.push(text(box.left - 6, cy + 4, y.toFixed(0), 'text-anchor="end"'));
  }
  let lastY = Number.NEGATIVE_INFINITY;
  for (const point of points.toSorted((a, b) => b.y - a.y || a.x - b.x)) {
    const { cx, cy } = at(point);
    const colour = colours[point.kind] ?? ink;
    const labelY = Math.max(cy + 4, lastY + 14);
    lastY = labelY;
    body.push(`<circle cx="${round(cx)}" cy="${round(cy)}" r="5" fill="${colour}"/>`);
    body.push(
      `<path d="M${round(cx)} ${round(cy)}L${box.right + 8} ${round(labelY - 4)}" stroke="${colour}" stroke-width="0.4" fill="none"/>`,
    );
    body.push(text(box.right + 12, labelY, point.label, `fill="${colour}"`));
  }
  return frame(Math.max(height, lastY + 16), title, body);
}

export type Bar = { readonly label: string; readonly parts: readonly number[] };

/** Bars of stacked parts. */
export function bars(
  title: string,
  names: readonly string[],
  partColours: readonly string[],
  all: readonly Bar[],
): string {
  const left = 290;
  const most = Math.max(...all.map(({ parts }) => parts.reduce((a, b) => a + b, 0)));
  const body = names.map((name, index) =>
    [
      `<rect x="${left + index * 120}" y="34" width="10" height="10" fill="${partColours[index] ?? ink}"/>`,
      text(left + 14 + index * 120, 43, name),
    ].join(''),
  );
  all.forEach(({ label, parts }, row) => {
    const y = 58 + row * 22;
    body.push(text(left - 8, y + 12, label, 'text-anchor="end"'));
    let x = left;
    parts.forEach((part, index) => {
      const long = (part / most) * (width - left - 70);
      body.push(
        `<rect x="${round(x)}" y="${y}" width="${round(long)}" height="16" fill="${partColours[index] ?? ink}"/>`,
      );
      x += long;
    });
    body.push(text(x + 6, y + 12, parts.reduce((a, b) => a + b, 0).toFixed(2)));
  });
  return frame(58 + all.length * 22 + 14, title, body);
}

export type Line = { readonly name: string; readonly colour: string; readonly values: readonly number[] };

/** Lines over the same times, one step per value. */
export function lines(title: string, xName: string, hours: number, all: readonly Line[]): string {
  const height = 280;
  const box = { left: 48, right: width - 20, top: 56, bottom: height - 44 };
  const most = Math.max(1, ...all.flatMap(({ values }) => values));
  const body = [
    `<path d="M${box.left} ${box.top}V${box.bottom}H${box.right}" fill="none" stroke="${ink}"/>`,
    text((box.left + box.right) / 2, height - 10, xName, 'text-anchor="middle"'),
    text(box.left - 6, box.top + 4, most.toFixed(0), 'text-anchor="end"'),
    text(box.left - 6, box.bottom + 4, '0', 'text-anchor="end"'),
  ];
  for (let hour = 0; hour <= hours; hour++)
    body.push(
      text(
        box.left + (hour / hours) * (box.right - box.left),
        box.bottom + 16,
        String(hour),
        'text-anchor="middle"',
      ),
    );
  all.forEach(({ name, colour, values }, index) => {
    const path = values.map((value, step) => {
      const x = box.left + (step / Math.max(1, values.length - 1)) * (box.right - box.left);
      const y = box.bottom - (value / most) * (box.bottom - box.top);
      return `${step === 0 ? 'M' : 'L'}${round(x)} ${round(y)}`;
    });
    body.push(`<path d="${path.join('')}" fill="none" stroke="${colour}" stroke-width="1.4"/>`);
    body.push(text(box.left + 8 + index * 170, 42, `— ${name}`, `fill="${colour}"`));
  });
  return frame(height, title, body);
}
