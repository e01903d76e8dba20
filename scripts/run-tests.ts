import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { joinReports, type Report, type TestReport } from './report.ts';
import { runCheck, runCounted } from './run-step.ts';
import { testMachine } from './test-machine.ts';

const root = fileURLToPath(new URL('../', import.meta.url));

/** A package's task `test` as turbo sees it. */
interface TestTask {
  readonly package: string;
  readonly directory: string;
  /** Of everything that its result depends on. */
  readonly hash: string;
  readonly cached: boolean;
}

/** What was tested in one run, handed to the tasks that would otherwise test it again. */
export interface TestResults {
  readonly [directory: string]: { readonly hash: string; readonly report: Report };
}

/**
 * Every test: packages whose result turbo has are not run again, all others run together in one vitest, for each start of
 * one costs seconds. The results then go into turbo's cache by package, through the task `test` (test-package.ts).
 */
export function runTests(): Report {
  process.env['TEST_MACHINE'] = testMachine();
  const tasks = testTasks();
  const stale = tasks.filter(({ cached }) => !cached);
  for (const task of tasks) console.log(`${task.cached ? 'cached ' : 'to test'}  ${task.package}`);
  const filters = stale.length === tasks.length ? [] : [...stale.map(({ directory }) => `${directory}/`), ...ownTests];
  const run = runCounted('tests', ['vitest', 'run', ...filters]) as TestReport;
  const rest = Object.entries(run.folders ?? {}).filter(([folder]) => !tasks.some((task) => task.directory === folder));
  const counted = Object.values(run.folders ?? {}).reduce((sum, { counts }) => sum + counts.failed, 0);
  // Errors that belong to no file may be anyone's: then nothing of this run is kept.
  if (counted !== run.counts.failed) return run;
  const recorded = recordResults(stale, run);
  const notes: Report = { counts: { passed: 0, failed: 0, skipped: 0 }, notes: run.notes };
  return joinReports([notes, ...rest.map(([, report]) => report), ...recorded, ...tasks.map(resultOf)]);
}

/** Where the task `test` leaves its result, below the package's folder. */
const COUNTS = '.turbo/test-counts.json';

/** Tests that belong to no package are not cached: they look at everything. */
const ownTests = ['scripts/', 'test-support/'];

/** The tasks `test` of all packages, and whether turbo has their results. */
function testTasks(): TestTask[] {
  const { stdout, status, stderr } = turbo(['run', 'test', '--dry=json'], 'pipe');
  if (status !== 0) throw new Error(`turbo run test --dry=json: ${stderr}`);
  const { tasks } = JSON.parse(stdout) as {
    readonly tasks: readonly (Omit<TestTask, 'cached'> & {
      readonly task: string;
      readonly command: string;
      readonly cache: { readonly status: 'HIT' | 'MISS' };
    })[];
  };
  return tasks
    .filter(({ task, command }) => task === 'test' && command !== '<NONEXISTENT>')
    .map(({ package: name, directory, hash, cache }) => ({
      package: name,
      directory,
      hash,
      cached: cache.status === 'HIT',
    }));
}

/** Puts what was tested into turbo's cache, and brings the results of the others back from it. */
function recordResults(stale: readonly TestTask[], run: TestReport): Report[] {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-results-'));
  const file = join(folder, 'results.json');
  const none: Report = { counts: { passed: 0, failed: 0, skipped: 0 }, notes: [] };
  const results: TestResults = Object.fromEntries(
    stale.map(({ directory, hash }) => [directory, { hash, report: run.folders[directory] ?? none }]),
  );
  for (const { directory } of stale) rmSync(join(root, directory, COUNTS), { force: true });
  try {
    writeFileSync(file, JSON.stringify(results));
    const { status } = turbo(['run', 'test', '--continue', '--output-logs=errors-only'], 'inherit', {
      TEST_RESULTS: file,
    });
    const failed = stale.some(({ directory }) => (results[directory]?.report.counts.failed ?? 0) > 0);
    return status === 0 || failed ? [] : [runCheck('results into the cache', ['false'])];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What the task `test` left of its result. */
function resultOf({ directory, package: name }: TestTask): Report {
  try {
    return JSON.parse(readFileSync(join(root, directory, COUNTS), 'utf8')) as Report;
  } catch {
    return { counts: { passed: 0, failed: 1, skipped: 0 }, notes: [`FAILED   ${name}: its tests left no result`] };
  }
}

function turbo(args: readonly string[], stdio: 'pipe' | 'inherit', env: Readonly<Record<string, string>> = {}) {
  return spawnSync(join(root, 'node_modules/.bin/turbo'), [...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: stdio === 'pipe' ? 'pipe' : ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
  });
}
