import type { Reporter, TestModule } from 'vitest/node';
import { type Counts, closeRun } from './report.ts';

/** Closes every vitest run: what did not run with its reason, then a plain `N passed, N failed, N skipped`. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const counts: Counts = { passed: 0, failed: unhandled.length, skipped: 0 };
    const reasons = new Map<string, number>();
    for (const module of modules) {
      if (module.errors().length > 0) counts.failed++;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === 'passed' || result.state === 'failed') {
          counts[result.state]++;
          continue;
        }
        counts.skipped++;
        const note = result.state === 'skipped' ? (result.note ?? 'skipped in the source') : 'the run ended before it';
        const reason = `[${test.project.name}] ${note}`;
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      }
    }
    closeRun({ counts, notes: [...reasons].map(([reason, n]) => `NOT RUN  ${n} test(s)  ${reason}`) });
  }
}
