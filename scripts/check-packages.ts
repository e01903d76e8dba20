/**
 * `npm run check:packages`: what only the built packages show. Each package's manifest and types (publint, attw),
 * dead code and undeclared dependencies (knip), the sizes in .size-limit.json, and its tarball in an empty project.
 */
import { closeRun, joinReports } from './report.ts';
import { runCheck, runCounted } from './run-step.ts';

const report = joinReports([
  runCheck('build', ['turbo', 'run', 'build', '--output-logs=errors-only']),
  runCheck('publint and attw', ['turbo', 'run', 'publint', 'attw', '--continue', '--output-logs=errors-only']),
  runCheck('knip', ['knip']),
  runCheck('size', ['size-limit']),
  runCounted('tarballs', ['tsx', 'scripts/check-tarballs.ts']),
]);
process.exitCode = report.counts.failed > 0 ? 1 : 0;
closeRun(report);
