/**
 * The task `test` of a package, run in its folder: its tests on every back end of this machine. Where TEST_RESULTS names a
 * file in which exactly this was tested already (the same hash of turbo), it takes that result and does not test again.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { closeRun, type Report } from './report.ts';
import { runCounted } from './run-step.ts';
import type { TestResults } from './run-tests.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const directory = relative(root, process.cwd()).split(sep).join('/');

function tested(): Report | undefined {
  const file = process.env['TEST_RESULTS'];
  if (!file) return undefined;
  const result = (JSON.parse(readFileSync(file, 'utf8')) as TestResults)[directory];
  return result?.hash === process.env['TURBO_HASH'] ? result?.report : undefined;
}

const report = tested() ?? runCounted(directory, ['vitest', 'run', '--passWithNoTests', `${directory}/`]);
const { counts, notes, notRun = {} } = report;
writeFileSync(join(process.cwd(), '.turbo/test-counts.json'), JSON.stringify({ counts, notes, notRun }));
process.exitCode = counts.failed > 0 ? 1 : 0;
closeRun({ counts, notes, notRun });
