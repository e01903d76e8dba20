import { writeFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';
import { type Counts, closingLine } from './counts.ts';

/**
 * Names what did not run with its reason, then closes the run with a plain `N passed, N failed, N skipped`. Where
 * COUNTS_FILE is set, the counts and reasons go there instead, for a script that runs more than vitest.
 */
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
        const note = result.state === 'skipped' ? result.note : 'the run ended before it';
        const reason = `[${test.project.name}] ${note ?? 'skipped in the source'}`;
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      }
    }
    const notRun = [...reasons].map(([reason, n]) => `NOT RUN  ${n} test(s)  ${reason}`);
    const file = process.env['COUNTS_FILE'];
    if (file) writeFileSync(file, JSON.stringify({ counts, notRun }));
    else for (const line of [...notRun, closingLine(counts)]) console.log(line);
  }
}
