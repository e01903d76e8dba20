/**
 * `npm test`: lint, types, imports, then every test on every back end that this machine has. All of them run, whatever fails;
 * what could not run is named with its reason, and the last line is `N passed, N failed, N skipped`, where lint,
 * types and imports count as one each. Arguments go to vitest: `npm test -- --project unit`.
 */
import { closeRun, joinReports } from './report.ts';
import { runCheck, runCounted } from './run-step.ts';

const report = joinReports([
  runCheck('lint', ['biome', 'ci', '--colors=off', '.']),
  runCheck('types', ['tsc', '-b']),
  runCheck('imports', ['tsx', '--experimental-vm-modules', '--no-warnings', 'scripts/check-imports.ts']),
  runCounted('tests', ['vitest', 'run', ...process.argv.slice(2)]),
]);
process.exitCode = report.counts.failed > 0 ? 1 : 0;
closeRun(report);
