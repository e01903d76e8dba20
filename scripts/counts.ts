/** How the checks of a run ended. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** The last line of every run, the same everywhere so that a machine can read it. */
export function closingLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** The sum of several runs. */
export function total(runs: readonly Counts[]): Counts {
  const sum: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const { passed, failed, skipped } of runs) {
    sum.passed += passed;
    sum.failed += failed;
    sum.skipped += skipped;
  }
  return sum;
}
