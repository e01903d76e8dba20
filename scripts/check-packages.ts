/**
 * `npm run check:packages`: what only the built packages show. Each package's manifest and types (publint, attw),
 * dead code and undeclared dependencies (knip), the sizes in checks/.size-limit.json, every entry in bundles for browsers,
 * and its tarball in an empty project. What checks them is installed by `npm ci --prefix scripts/checks`.
 */
import { existsSync } from 'node:fs';
import { closeRun, joinReports } from './report.ts';
import { runCheck, runCounted } from './run-step.ts';

if (!existsSync(new URL('./checks/node_modules', import.meta.url))) {
  console.error('npm ci --prefix scripts/checks --ignore-scripts installs what checks packages');
  process.exit(1);
}
const report = joinReports([
  runCheck('build', ['turbo', 'run', 'build', '--output-logs=errors-only']),
  runCheck('publint and attw', ['turbo', 'run', 'publint', 'attw', '--continue', '--output-logs=errors-only']),
  runCheck('knip', ['knip']),
  runCheck('size', ['npm', 'run', 'size', '--prefix', 'scripts/checks']),
  runCounted('bundles', ['tsx', 'scripts/checks/bundles.js']),
  runCounted('tarballs', ['tsx', 'scripts/check-tarballs.ts']),
]);
process.exitCode = report.counts.failed > 0 ? 1 : 0;
closeRun(report);
