import { writeFileSync } from 'node:fs';

/** How the checks of a run ended. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export interface Report {
  readonly counts: Counts;
  /** One line each for what failed as a whole. */
  readonly notes: readonly string[];
  /** How many tests did not run, by reason. */
  readonly notRun?: Readonly<Record<string, number>>;
}

/** The report of a test run, also by the workspace folder that its tests stand in. */
export interface TestReport extends Report {
  readonly folders: Readonly<Record<string, Report>>;
  /** The projects in which a test failed. */
  readonly failedIn: readonly string[];
  /** The files, as paths from the root. */
  readonly failedFiles: readonly string[];
  /** Errors outside of tests. */
  readonly unhandled: number;
}

/** Several reports as one. */
export function joinReports(reports: readonly Report[]): Report {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const notRun: Record<string, number> = {};
  for (const each of reports) {
    counts.passed += each.counts.passed;
    counts.failed += each.counts.failed;
    counts.skipped += each.counts.skipped;
    for (const [reason, n] of Object.entries(each.notRun ?? {})) notRun[reason] = (notRun[reason] ?? 0) + n;
  }
  return { counts, notes: reports.flatMap(({ notes }) => notes), notRun };
}

/**
 * Ends a run: its notes, then the line `N passed, N failed, N skipped`, the same everywhere so that a machine can read
 * it. Where COUNTS_FILE is set, the report goes there instead, to the script that runs this one among others.
 */
export function closeRun(report: Report): void {
  const file = process.env['COUNTS_FILE'];
  if (file) {
    writeFileSync(file, JSON.stringify(report));
    return;
  }
  const { counts, notes, notRun = {} } = report;
  console.log();
  for (const [reason, n] of Object.entries(notRun)) console.log(`NOT RUN  ${n} test(s)  ${reason}`);
  for (const note of notes) console.log(note);
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
}
