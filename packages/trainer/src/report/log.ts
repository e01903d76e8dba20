import { checkArguments } from '@heddle/tensor';
import { TrainingError } from '../errors.ts';
import { nodeFileSystem, reasonOf } from '../files/node.ts';
import { checkReport, type StepReport } from '../loop/step-report.ts';

/** A file of reports, one JSON object a line. */
export interface ReportLog {
  /** Writes a report behind those that are there. @throws TrainingError `ERR_DATA` where the file cannot be written */
  write(report: StepReport): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** What JSON has no numbers for. */
const special: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
};

/** Opens a log, behind what an earlier part of the run has written. Owned by the caller. @throws TrainingError `ERR_DATA` */
export async function openLog(path: string): Promise<ReportLog> {
  checkArguments('openLog', 'text', { path });
  const failed = (cause: unknown): never => {
    throw new TrainingError('ERR_DATA', `openLog: cannot write ${path}: ${reasonOf(cause)}`, undefined, { cause });
  };
  const file = await nodeFileSystem().open(path, 'a').catch(failed);
  let closed = false;
  return {
    async write(report) {
      checkReport('write', report);
      const line = JSON.stringify(report, (_, value: unknown) =>
        typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
      );
      await file.write(new TextEncoder().encode(`${line}\n`)).catch(failed);
    },
    async close() {
      if (!closed) await file.close();
      closed = true;
    },
  };
}

/**
 * The reports of a log. Of a step that was written twice, because a run went on from an earlier checkpoint, the later one counts; a
 * last line that was cut off is passed over.
 * @throws TrainingError `ERR_DATA` for a file that cannot be read, or a damaged line before the last
 */
export async function readLog(path: string): Promise<readonly StepReport[]> {
  checkArguments('readLog', 'text', { path });
  const bytes = await nodeFileSystem()
    .readFile(path)
    .catch((cause: unknown) => {
      throw new TrainingError('ERR_DATA', `readLog: cannot read ${path}: ${reasonOf(cause)}`, undefined, { cause });
    });
  const lines = new TextDecoder().decode(bytes).split('\n');
  const reports = new Map<number, StepReport>();
  for (const [i, line] of lines.entries()) {
    if (line === '') continue;
    try {
      const report = JSON.parse(line, (_, value: unknown) =>
        typeof value === 'string' && value in special ? special[value] : value,
      ) as StepReport;
      if (!Number.isSafeInteger(report?.step)) throw new Error('it is no report of a step');
      reports.set(report.step, report);
    } catch (cause) {
      if (i === lines.length - 1) break;
      throw new TrainingError('ERR_DATA', `log: ${path}, line ${i + 1}: ${reasonOf(cause)}`, undefined, { cause });
    }
  }
  return [...reports.values()].sort((a, b) => a.step - b.step);
}
