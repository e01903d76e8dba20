import { writeFileSync } from 'node:fs';

/** How the checks of a run ended. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export interface Report {
  readonly counts: Counts;
  /** One line each for what did not run, with its reason, and for what failed as a whole. */
  readonly notes: readonly string[];
}

/** Several reports as one. */
export function joinReports(reports: readonly Report[]): Report {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const each of reports) {
    counts.passed += each.counts.passed;
    counts.failed += each.counts.failed;
    counts.skipped += each.counts.skipped;
  }
  return { counts, notes: reports.flatMap(({ notes }) => notes) };
}

/**
 * Ends a run: its notes, then the line `N passed, N failed, N skipped`, the same everywhere so that a machine can read
 * it. Where COUNTS_FILE is set, the report goes there instead, to the script that runs this one among others.
 */
export function closeRun({ counts, notes }: Report): void {
  const file = process.env['COUNTS_FILE'];
  if (file) {
    writeFileSync(file, JSON.stringify({ counts, notes }));
    return;
  }
  console.log();
  for (const note of notes) console.log(note);
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
}
