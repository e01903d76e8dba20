import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestReport } from '../report.ts';

/** The projects in which a test failed, and the files of the tests that did. */
export type Failures = Pick<TestReport, 'failedIn' | 'failedFiles'>;

/** How tests of a copy are run. */
export interface TestRun {
  readonly projects: readonly string[];
  readonly tests: readonly string[];
  /** Longest that it may take; tests that hang count as failed. */
  readonly limitMs: number;
  /** Whether it may end at the first failure. */
  readonly bail: boolean;
  /** At most so many files at once. */
  readonly maxWorkers: number | undefined;
}

/** Where no GPU is asked for, none is unpacked. */
const NO_GPU = { VK_DRIVER_FILES: '/dev/null' };

/**
 * Runs test files of the copy in `root`. Tests that hang, or end vitest, have failed.
 *
 * @throws Error if vitest ends without a report
 */
export async function runTests(
  root: string,
  { projects, tests, limitMs, bail, maxWorkers }: TestRun,
): Promise<Failures> {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-fault-'));
  const counts = join(folder, 'counts.json');
  const args = [
    'run',
    '--reporter=./scripts/closing-line.ts',
    ...projects.flatMap((name) => ['--project', name]),
    ...(bail ? ['--bail=1'] : []),
    ...(maxWorkers === undefined ? [] : [`--maxWorkers=${maxWorkers}`]),
    ...tests,
  ];
  try {
    const { status, isLate, output } = await vitest(root, args, limitMs, {
      ...process.env,
      ...(projects.some((name) => name.startsWith('webgpu')) ? {} : NO_GPU),
      TEST_FIRST_FAILURE_ONLY: '1',
      COUNTS_FILE: counts,
      REQUIRE_BACKENDS: projects.filter((name) => name !== 'unit').join(','),
    });
    if (isLate) return { failedIn: projects, failedFiles: tests };
    const report = readReport(counts);
    if (!report) throw new Error(`vitest ended without a report (exit ${status}):\n${output}`);
    // a run that ends at its first failure may leave its file without a verdict
    const isSeen = report.unhandled > 0 || (status !== 0 && report.failedIn.length === 0);
    return isSeen ? { failedIn: projects, failedFiles: tests } : report;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs vitest in a group of processes of its own, which is ended with it where it takes too long. */
function vitest(root: string, args: readonly string[], limitMs: number, env: NodeJS.ProcessEnv) {
  return new Promise<{ status: number | null; isLate: boolean; output: string }>((resolve, reject) => {
    const child = spawn(join(root, 'node_modules/.bin/vitest'), args, { cwd: root, env, detached: true });
    let output = '';
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      if (child.pid) process.kill(-child.pid, 'SIGKILL');
    }, limitMs);
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-20_000);
      });
    child.on('error', reject);
    child.on('close', (status) => {
      clearTimeout(timer);
      resolve({ status, isLate, output });
    });
  });
}

function readReport(file: string): TestReport | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as TestReport;
  } catch {
    return undefined;
  }
}
