/** Charts as SVG, without scripts. Colours come from the page, by class, so that they fit its theme. */

/** One bar of every group. */
export interface BarSeries {
  readonly name: string;
  /** CSS classes with its colour. */
  readonly className: string;
  /** One value for each group; null draws nothing. */
  readonly values: readonly (number | null)[];
}

export interface BarChart {
  readonly title: string;
  /** Unit of the values, at the axis. */
  readonly unit: string;
  /** Labels of the groups, in short lines. */
  readonly groups: readonly (readonly string[])[];
  readonly series: readonly BarSeries[];
}

export interface Point {
  readonly x: number;
  readonly y: number;
  readonly className: string;
}

export interface ScatterChart {
  readonly title: string;
  readonly xUnit: string;
  readonly yUnit: string;
  readonly points: readonly Point[];
}

const width = 640;
const height = 280;
const frame = { left: 56, right: 12, top: 28, bottom: 40 } as const;
const plotWidth = width - frame.left - frame.right;
const plotHeight = height - frame.top - frame.bottom;
/** Share of a group's width for its bars. */
const groupFill = 0.8;
const maxBarWidth = 48;

/** Escapes a text for HTML, between tags and in quoted attributes. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

/** Groups of bars over an axis that begins at 0. */
export function barChart({ title, unit, groups, series }: BarChart): string {
  const top = niceTop(series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const groupWidth = plotWidth / Math.max(1, groups.length);
  const barWidth = Math.min(maxBarWidth, (groupWidth * groupFill) / Math.max(1, series.length));
  const bars = series.flatMap(({ name, className, values }, seriesIndex) =>
    values.map((value, group) => {
      if (value === null) return '';
      const barHeight = (value / top) * plotHeight;
      const x =
        frame.left + (group + 0.5) * groupWidth + (seriesIndex - series.length / 2) * barWidth;
      const y = frame.top + plotHeight - barHeight;
      const label = `${(groups[group] ?? []).join(', ')}: ${name} ${numberText(value)} ${unit}`;
      return (
        `<rect class="${escapeHtml(className)}" x="${x.toFixed(1)}" y="${y.toFixed(1)}" ` +
        `width="${(barWidth - 1).toFixed(1)}" height="${barHeight.toFixed(1)}">` +
        `<title>${escapeHtml(label)}</title></rect>`
      );
    }),
  );
  const labels = groups.flatMap((lines, group) =>
    lines.map((line, index) =>
      svgText(frame.left + (group + 0.5) * groupWidth, height - 24 + index * 14, 'middle', line),
    ),
  );
  return figure(title, yAxis(top, unit) + bars.join('') + labels.join(''), legend(series));
}

/** A dot for each point, over axes that begin at 0. */
export function scatterChart({ title, xUnit, yUnit, points }: ScatterChart): string {
  const right = niceTop(points.map(({ x }) => x));
  const top = niceTop(points.map(({ y }) => y));
  const dots = points.map(({ x, y, className }) => {
    const [left, above] = [
      frame.left + (x / right) * plotWidth,
      frame.top + plotHeight - (y / top) * plotHeight,
    ];
    return (
      `<circle class="${escapeHtml(className)}" cx="${left.toFixed(1)}" cy="${above.toFixed(1)}" ` +
      'r="3"/>'
    );
  });
  const xLabels = ticks(right).map((tick) =>
    svgText(frame.left + (tick / right) * plotWidth, height - 22, 'middle', numberText(tick)),
  );
  const xTitle = svgText(frame.left + plotWidth / 2, height - 4, 'middle', xUnit);
  return figure(title, yAxis(top, yUnit) + dots.join('') + xLabels.join('') + xTitle, '');
}

function figure(title: string, content: string, below: string): string {
  const label = escapeHtml(title);
  return (
    `<figure><figcaption>${label}</figcaption>` +
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">${content}</svg>` +
    `${below}</figure>`
  );
}

function yAxis(top: number, unit: string): string {
  const lines = ticks(top).map((tick) => {
    const y = frame.top + plotHeight - (tick / top) * plotHeight;
    return (
      `<line class="grid" x1="${frame.left}" x2="${width - frame.right}" ` +
      `y1="${y.toFixed(1)}" y2="${y.toFixed(1)}"/>` +
      svgText(frame.left - 6, y + 4, 'end', numberText(tick))
    );
  });
  return lines.join('') + svgText(4, 12, 'start', unit);
}

function legend(series: readonly BarSeries[]): string {
  const items = series.map(
    ({ name, className }) =>
      `<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="${escapeHtml(className)}" ` +
      `width="10" height="10"/></svg>${escapeHtml(name)}</li>`,
  );
  return `<ul class="legend">${items.join('')}</ul>`;
}

function svgText(x: number, y: number, anchor: string, text: string): string {
  return (
    `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">` +
    `${escapeHtml(text)}</text>`
  );
}

/** The end of an axis: the next of 1, 2, 2.5 and 5 times a power of ten; 1 without values. */
function niceTop(values: readonly number[]): number {
  const maximum = values.reduce((highest, value) => Math.max(highest, value), 0);
  if (maximum === 0) return 1;
  const power = 10 ** Math.floor(Math.log10(maximum));
  const step = [1, 2, 2.5, 5, 10].find((each) => each * power >= maximum) ?? 10;
  return step * power;
}

function ticks(top: number): number[] {
  return [0, 0.25, 0.5, 0.75, 1].map((share) => share * top);
}

function numberText(value: number): string {
  return value === 0 ? '0' : String(Number(value.toPrecision(3)));
}
