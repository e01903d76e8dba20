import { ArgumentError, checkArguments } from '@heddle/tensor';
import type { StepReport } from '../loop/step-report.ts';

/** Bytes of a run, as the device accounts for them. */
export interface MemoryStatistics {
  /** The most that the device has held. */
  readonly peakBytes: number;
  /** Mean over the steps of what was held at their ends. */
  readonly averageBytes: number;
  /** By what it was for: the most at the end of a step, and the mean. */
  readonly byOwner: Readonly<Record<string, { readonly peakBytes: number; readonly averageBytes: number }>>;
}

/** @throws ArgumentError for no reports */
export function memoryStatistics(reports: readonly Pick<StepReport, 'memory'>[]): MemoryStatistics {
  checkArguments('memoryStatistics', 'list', { reports });
  for (const [i, report] of reports.entries())
    checkArguments('memoryStatistics', 'object', { [`reports[${i}].memory`]: report?.memory });
  if (reports.length === 0) throw new ArgumentError('memoryStatistics: takes the reports of at least one step');
  const owners = new Set(reports.flatMap(({ memory }) => Object.keys(memory.owners)));
  const over = (values: readonly number[]) => ({
    peakBytes: values.reduce((a, b) => Math.max(a, b)),
    averageBytes: values.reduce((a, b) => a + b, 0) / values.length,
  });
  return {
    peakBytes: over(reports.map(({ memory }) => memory.peak)).peakBytes,
    averageBytes: over(reports.map(({ memory }) => memory.live)).averageBytes,
    byOwner: Object.fromEntries(
      [...owners].map((owner) => [owner, over(reports.map(({ memory }) => memory.owners[owner] ?? 0))]),
    ),
  };
}
