/** A line of a plot. */
export interface PlotLine {
  readonly name: string;
  readonly colour: string;
  readonly points: readonly (readonly [number, number])[];
  readonly dashed?: boolean;
}

export interface Plot {
  readonly title: string;
  readonly lines: readonly PlotLine[];
  readonly format: (value: number) => string;
  /** Whether the axis begins at 0. */
  readonly fromZero?: boolean;
}

const [width, height, left, bottom, top] = [640, 220, 70, 24, 10];
/** Points of a line beyond which every so many are averaged into one. */
const maxPoints = 800;

/** Text inside of markup. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** A plot as SVG; undefined where there is nothing to show. */
export function plotSvg({ title, lines, format, fromZero = false }: Plot): string | undefined {
  const shown = lines
    .map((line) => ({ ...line, points: thinned(line.points.filter((point) => point.every(Number.isFinite))) }))
    .filter(({ points }) => points.length > 0);
  if (shown.length === 0) return undefined;
  const all = shown.flatMap(({ points }) => points);
  const [x0, x1] = range(all.map(([x]) => x));
  const [low, high] = range(all.map(([, y]) => y));
  const [y0, y1] = [fromZero ? Math.min(0, low) : low, high];
  const x = (value: number) => left + ((value - x0) / (x1 - x0 || 1)) * (width - left - 10);
  const y = (value: number) => height - bottom - ((value - y0) / (y1 - y0 || 1)) * (height - bottom - top);
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const value = y0 + share * (y1 - y0);
    const at = y(value).toFixed(1);
    return `<line x1="${left}" y1="${at}" x2="${width - 10}" y2="${at}" class="grid"/><text x="${left - 6}" y="${Number(at) + 4}" class="value">${escaped(format(value))}</text>`;
  });
  const steps = [x0, (x0 + x1) / 2, x1].map(
    (value) => `<text x="${x(value).toFixed(1)}" y="${height - 6}" class="step">${Math.round(value)}</text>`,
  );
  const paths = shown.map(({ points, colour, dashed, name }) => {
    const path = points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(' ');
    const only =
      points.length === 1
        ? `<circle cx="${x(points[0]![0]).toFixed(1)}" cy="${y(points[0]![1]).toFixed(1)}" r="3" fill="${colour}"/>`
        : '';
    return `<polyline points="${path}" stroke="${colour}"${dashed ? ' stroke-dasharray="5 3"' : ''}><title>${escaped(name)}</title></polyline>${only}`;
  });
  return `<figure><figcaption>${escaped(title)}</figcaption><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(title)}">${grid.join('')}${steps.join('')}${paths.join('')}</svg></figure>`;
}

function thinned(points: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  const size = Math.ceil(points.length / maxPoints);
  if (size <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const part = points.slice(i * size, (i + 1) * size);
    return [part.at(-1)![0], part.reduce((sum, [, value]) => sum + value, 0) / part.length] as const;
  });
}

function range(values: readonly number[]): [number, number] {
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)] as [number, number], [
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ] as [number, number]);
}
