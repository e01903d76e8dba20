/**
 * `npm test`: lint, types, then every test on every back end that this machine has. All of them run, whatever fails;
 * what could not run is named with its reason, and the last line is `N passed, N failed, N skipped`, where lint and
 * types count as one each. Arguments go to vitest: `npm test -- --project unit`.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Counts, closingLine, total } from './counts.ts';
import { runStep } from './run-step.ts';

const check = (name: string, command: readonly string[]): Counts => {
  const ok = runStep(name, command);
  return { passed: Number(ok), failed: Number(!ok), skipped: 0 };
};

function tests(args: readonly string[]): { counts: Counts; notRun: readonly string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-test-'));
  const file = join(folder, 'counts.json');
  try {
    const ok = runStep('tests', ['npx', '--no', 'vitest', 'run', ...args], { COUNTS_FILE: file });
    const report = readReport(file);
    // A run that dies, or fails outside of any test, is a failure too.
    if (!ok && report.counts.failed === 0) report.counts.failed = 1;
    return report;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readReport(file: string): { counts: Counts; notRun: string[] } {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as { counts: Counts; notRun: string[] };
  } catch {
    return {
      counts: { passed: 0, failed: 1, skipped: 0 },
      notRun: ['NOT RUN  the tests: vitest ended without a report'],
    };
  }
}

const lint = check('lint', ['npx', '--no', 'biome', 'ci', '.']);
const types = check('types', ['npx', '--no', 'tsc', '-b']);
const { counts, notRun } = tests(process.argv.slice(2));

const sum = total([lint, types, counts]);
console.log();
for (const line of notRun) console.log(line);
if (lint.failed) console.log('FAILED   lint');
if (types.failed) console.log('FAILED   types');
console.log(closingLine(sum));
process.exitCode = sum.failed > 0 ? 1 : 0;
