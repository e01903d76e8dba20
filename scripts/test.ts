/**
 * `npm test`: lint, build, types, imports, then every test on every back end that this machine has. All of them run, whatever fails;
 * what could not run is named with its reason, and the last line is `N passed, N failed, N skipped`, where lint, build, types and
 * imports count as one each. What turbo has of a package (lint, build, tests) is not done again; TURBO_FORCE=true does all.
 * Arguments go to vitest, and then nothing is taken from the cache: `npm test -- --project unit`.
 */
import { clientsInstalled } from '../test-support/official-clients.ts';
import { closeRun, joinReports } from './report.ts';
import { runCheck, runCounted } from './run-step.ts';
import { runTests } from './run-tests.ts';

const args = process.argv.slice(2);
const report = joinReports([
  runCheck('lint', ['turbo', 'run', 'lint', 'lint:root', '--continue', '--output-logs=errors-only']),
  runCheck('build', ['turbo', 'run', 'build', '--output-logs=errors-only']),
  runCheck('types', ['tsc', '-b', ...(clientsInstalled ? ['.', 'examples/clients'] : [])]),
  runCheck('imports', ['tsx', '--experimental-vm-modules', '--no-warnings', 'scripts/check-imports.ts']),
  args.length > 0 ? runCounted('tests', ['vitest', 'run', ...args]) : runTests(),
]);
process.exitCode = report.counts.failed > 0 ? 1 : 0;
closeRun(report);
