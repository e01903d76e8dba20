import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One measured figure. */
export interface Measurement {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** Device or adapter that it was measured on. */
  readonly adapter: string;
  /** Against a peer or a limit that was measured in the same run. */
  readonly ratio?: number;
  readonly against?: string;
}

const header = 'commit,date,machine,adapter,what,value,unit,ratio,against';

/** Prints measurements as a table and appends them to the results file (`BENCH_RESULTS`, by default bench/results.csv). */
export function report(measurements: readonly Measurement[]): void {
  const file = process.env['BENCH_RESULTS'] ?? resultsFile();
  if (!existsSync(file)) writeFileSync(file, `${header}\n`);
  const date = new Date().toISOString().slice(0, 10);
  const machine = `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'CPU'}`;
  const rows = measurements.map(({ adapter, what, value, unit, ratio, against }) =>
    [commit(), date, machine, adapter, what, round(value), unit, ratio === undefined ? '' : round(ratio), against ?? '']
      .map(quoted)
      .join(','),
  );
  appendFileSync(file, `${rows.join('\n')}\n`);
  console.table(
    measurements.map(({ what, adapter, value, unit, ratio, against }) => ({
      what,
      on: adapter,
      value: `${round(value)} ${unit}`,
      ratio: ratio === undefined ? '' : `${round(ratio)} of ${against}`,
    })),
  );
}

/** results.csv of the bench workspace, whether this file runs from there or, compiled, from its dist. */
function resultsFile(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest) && (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string }).name === 'bench')
      return join(folder, 'results.csv');
  }
  throw new Error(`no bench workspace around ${start}: name a file in BENCH_RESULTS`);
}

const round = (value: number) => Number(value.toPrecision(4));
const quoted = (cell: string | number) =>
  /[",\n]/.test(String(cell)) ? `"${String(cell).replaceAll('"', '""')}"` : String(cell);

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return process.env['BENCH_COMMIT'] ?? 'unknown';
  }
}

/** The middle one of some figures. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
