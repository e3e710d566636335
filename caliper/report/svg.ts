/** A line through measured points; y of a point that has no result is left out by whoever makes it. */
export interface Series {
  /** index into `COLOURS` */
  colour: number;
  dashed: boolean;
  points: [x: number, y: number][];
}

/** One small plot: whole numbers on the x-axis, y from 0. */
export interface Panel {
  title: string;
  xTitle: string;
  xs: readonly number[];
  series: Series[];
}

export interface LegendEntry {
  label: string;
  colour: number;
  dashed: boolean;
}

/** Told apart by those who see no red or green as well (Okabe and Ito, 2008). */
const COLOURS = ['#0072b2', '#e69f00', '#d55e00', '#444444'];
const WIDTH = 300;
const HEIGHT = 190;
const EDGE = { left: 58, right: 14, top: 30, bottom: 36 };
const HEAD = 34;
const LEGEND = 26;
const TICKS = 4;

/** A grid of plots under one title and above one legend, as an SVG document. */
export function gridSvg(title: string, rows: Panel[][], legend: LegendEntry[]): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const width = columns * WIDTH;
  const height = HEAD + rows.length * HEIGHT + LEGEND;
  const panels = rows.flatMap((row, y) => row.map((panel, x) => panelSvg(panel, x * WIDTH, HEAD + y * HEIGHT)));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="11">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="12" y="22" font-size="15" font-weight="bold">${escaped(title)}</text>`,
    ...panels,
    ...legendSvg(legend, HEAD + rows.length * HEIGHT + 14),
    '</svg>',
    '',
  ].join('\n');
}

function panelSvg(panel: Panel, x: number, y: number): string {
  const inner = { width: WIDTH - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
  const top = niceTop(Math.max(0, ...panel.series.flatMap(({ points }) => points.map(([, value]) => value))));
  const step = inner.width / panel.xs.length;
  const xOf = (value: number) => at(EDGE.left + step * (panel.xs.indexOf(value) + 0.5));
  const yOf = (value: number) => at(EDGE.top + inner.height * (1 - value / top));
  const lines = Array.from({ length: TICKS + 1 }, (_, index) => (top / TICKS) * index).map(
    (value) =>
      `<path d="M${EDGE.left} ${yOf(value)}h${inner.width}" stroke="#dddddd"/><text x="${EDGE.left - 6}" y="${yOf(value) + 4}" text-anchor="end">${shown(value)}</text>`,
  );
  const labels = panel.xs.map(
    (value) => `<text x="${xOf(value)}" y="${EDGE.top + inner.height + 15}" text-anchor="middle">${value}</text>`,
  );
  const series = panel.series.map(({ colour, dashed, points }) => {
    const path = points.map(([px, py], index) => `${index === 0 ? 'M' : 'L'}${xOf(px)} ${yOf(py)}`).join('');
    const dots = points.map(
      ([px, py]) => `<circle cx="${xOf(px)}" cy="${yOf(py)}" r="3" ${paint(colour, dashed, true)}/>`,
    );
    return `<path d="${path}" fill="none" ${paint(colour, dashed, false)}/>${dots.join('')}`;
  });
  return [
    `<g transform="translate(${x} ${y})">`,
    `<text x="12" y="18" font-weight="bold">${escaped(panel.title)}</text>`,
    ...lines,
    ...labels,
    `<text x="${at(EDGE.left + inner.width / 2)}" y="${HEIGHT - 6}" text-anchor="middle">${escaped(panel.xTitle)}</text>`,
    ...series.filter((text) => !text.startsWith('<path d=""')),
    '</g>',
  ].join('\n');
}

function legendSvg(legend: LegendEntry[], y: number): string[] {
  return legend.map(({ label, colour, dashed }, index) => {
    const x = 20 + index * 145;
    return `<path d="M${x} ${y}h22" fill="none" ${paint(colour, dashed, false)}/><text x="${x + 28}" y="${y + 4}">${escaped(label)}</text>`;
  });
}

function paint(colour: number, dashed: boolean, dot: boolean): string {
  const value = COLOURS[colour % COLOURS.length];
  if (dot) return `fill="${dashed ? '#ffffff' : value}" stroke="${value}" stroke-width="1.5"`;
  return `stroke="${value}" stroke-width="2"${dashed ? ' stroke-dasharray="5 4"' : ''}`;
}

/** The least of 1, 2, 4, 6, 8 times a power of ten that nothing goes beyond. */
function niceTop(most: number): number {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return (([1, 2, 4, 6, 8, 10].find((factor) => factor * power >= most) as number) ?? 10) * power;
}

const at = (value: number) => Math.round(value * 10) / 10;
const shown = (value: number) => (value >= 1_000 ? `${at(value / 1_000)}k` : String(Math.round(value * 100) / 100));
const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
