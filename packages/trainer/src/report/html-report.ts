import { ArgumentError, checkArguments, checkOptions } from '@heddle/tensor';
import { checkReport, type StepReport } from '../loop/step-report.ts';
import { memoryStatistics } from '../memory/memory-statistics.ts';
import { escaped, type Plot, type PlotLine, plotSvg } from './plot.ts';
import { formatBytes, formatDuration } from './progress-line.ts';

/** A run and what it reported. */
export interface ReportedRun {
  readonly name: string;
  readonly reports: readonly StepReport[];
}

const colours = ['#2563eb', '#dc2626', '#059669', '#d97706', '#7c3aed', '#0891b2'];

/**
 * Runs as one page that needs nothing else: plots of loss, learning rate, gradient norm, memory and speed by step, and a table of
 * what they came to. Several runs are drawn into the same plots.
 * @throws ArgumentError for no runs, or one without reports
 */
export function htmlReport(runs: readonly ReportedRun[], options: { readonly title?: string } = {}): string {
  checkArguments('htmlReport', 'list', { runs });
  checkOptions('htmlReport', options, { title: 'text?' });
  const { title = 'Training' } = options;
  if (runs.length === 0) throw new ArgumentError('htmlReport: takes at least one run');
  for (const [i, run] of runs.entries()) {
    checkOptions(`htmlReport: runs[${i}]`, run, { name: 'text', reports: 'list' });
    const { name, reports } = run;
    for (const report of reports) checkReport('htmlReport', report);
    if (reports.length === 0) throw new ArgumentError(`htmlReport: the run '${name}' has no reports`);
  }
  const lines = (value: (report: StepReport) => number | undefined, more: Partial<PlotLine> = {}): PlotLine[] =>
    runs.map(({ name, reports }, i) => ({
      name,
      colour: colours[i % colours.length]!,
      points: reports.flatMap((report) => {
        const y = value(report);
        return y === undefined ? [] : [[report.step, y] as const];
      }),
      ...more,
    }));
  const number = (value: number) =>
    value !== 0 && Math.abs(value) < 1e-2 ? value.toExponential(1) : value.toPrecision(4);
  const plots: Plot[] = [
    {
      title: 'Loss (dashed: evaluation)',
      lines: [...lines(({ loss }) => loss), ...lines(({ evaluation }) => evaluation?.loss, { dashed: true })],
      format: number,
    },
    { title: 'Learning rate', lines: lines(({ learningRate }) => learningRate), format: number, fromZero: true },
    { title: 'Gradient norm', lines: lines(({ gradientNorm }) => gradientNorm), format: number, fromZero: true },
    { title: 'Memory', lines: lines(({ memory }) => memory.live), format: formatBytes, fromZero: true },
    {
      title: 'Tokens per second',
      lines: lines(({ tokensPerSecond }) => tokensPerSecond),
      format: (value) => Math.round(value).toLocaleString('en'),
      fromZero: true,
    },
  ];
  const legend = runs.map(
    ({ name }, i) => `<span><i style="background:${colours[i % colours.length]}"></i>${escaped(name)}</span>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title><style>
body{font:15px/1.5 system-ui,sans-serif;max-width:1360px;margin:2rem auto;padding:0 1rem;color:#1f2937;background:#fff}
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:1rem}
figure{margin:0;border:1px solid #e5e7eb;border-radius:8px;padding:.75rem}figcaption{font-weight:600}
svg{width:100%;height:auto}polyline{fill:none;stroke-width:1.5}.grid{stroke:#e5e7eb}
.value,.step{font-size:11px;fill:#6b7280}.value{text-anchor:end}.step{text-anchor:middle}
table{border-collapse:collapse;margin:1rem 0}th,td{border-bottom:1px solid #e5e7eb;padding:.3rem .8rem;text-align:right}th:first-child,td:first-child{text-align:left}
span{margin-right:1rem}i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.3em}
</style></head><body><h1>${escaped(title)}</h1><p>${legend.join('')}</p>
${summaryTable(runs)}
<main>${plots.map((plot) => plotSvg(plot) ?? '').join('\n')}</main></body></html>
`;
}

function summaryTable(runs: readonly ReportedRun[]): string {
  const rows = runs.map(({ name, reports }) => {
    const last = reports.at(-1)!;
    const evaluations = reports.flatMap(({ evaluation }) => (evaluation ? [evaluation.loss] : []));
    const seconds = reports.reduce((sum, report) => sum + report.seconds, 0);
    const tokens = reports.reduce((sum, report) => sum + (report.tokens ?? 0), 0);
    const memory = memoryStatistics(reports);
    const cells = [
      name,
      String(reports.length),
      last.loss.toFixed(4),
      evaluations.length > 0 ? evaluations.reduce((a, b) => Math.min(a, b)).toFixed(4) : '',
      String(reports.filter(({ applied }) => !applied).length),
      formatDuration(seconds),
      tokens > 0 ? Math.round(tokens / seconds).toLocaleString('en') : '',
      formatBytes(memory.peakBytes),
      formatBytes(memory.averageBytes),
    ];
    return `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`;
  });
  const head = [
    'Run',
    'Steps',
    'Last loss',
    'Best evaluation',
    'Skipped',
    'Time',
    'Tokens per second',
    'Peak memory',
    'Average memory',
  ];
  return `<table><thead><tr>${head.map((cell) => `<th>${cell}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
}
