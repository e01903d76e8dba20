/**
 * `npm run faults`: plants each fault of the list in a copy of the repository, one at a time, and runs the tests that must
 * see it. A fault survives if they pass in one of its projects; the exit code says whether one did. Words after `--` choose:
 * `npm run faults -- batcher` plants those whose file or description has the word,
 * `--project=unit` those that a project must see, and `--list` plants none.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { faults } from './faults/list.ts';
import { type LocatedFault, locate } from './faults/locate.ts';
import { repositoryFiles, Scratch } from './faults/scratch.ts';
import type { TestReport } from './report.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const onProject = process.argv.find((word) => word.startsWith('--project='))?.slice('--project='.length);
const files = repositoryFiles(root);
/** Entries that do not apply any more: their texts or files are gone. */
const stale: string[] = [];
const chosen = faults
  .flatMap((fault) => {
    try {
      return [locate(fault, files, (path) => readFileSync(join(root, path), 'utf8'))];
    } catch (error) {
      stale.push((error as Error).message);
      return [];
    }
  })
  .filter(
    ({ path, breaks }) => words.length === 0 || words.some((word) => path.includes(word) || breaks.includes(word)),
  )
  .filter(({ projects }) => onProject === undefined || projects.includes(onProject));
for (const message of stale) console.log(`STALE     ${message}`);

/** Longest that the tests of a fault may take; one that makes them hang is seen. */
const LIMIT_MS = 300_000;
/** Tests of one fault are never more; all of them together take longer. */
const MANY = 6;

/** Where no GPU is asked for, none is unpacked. */
const NO_GPU = { VK_DRIVER_FILES: '/dev/null' };

if (process.argv.includes('--list')) {
  for (const { path, breaks } of chosen) console.log(`${path}: ${breaks}`);
  console.log(`${chosen.length} faults`);
} else {
  const scratch = new Scratch(root, files);
  try {
    process.exitCode = plantAll(scratch);
  } finally {
    scratch.dispose();
  }
}

function plantAll(scratch: Scratch): number {
  const unfit = failingTests(scratch);
  const survivors: string[] = [];
  const unjudged: string[] = [];
  for (const [i, fault] of chosen.entries()) {
    const { path, find, put, breaks, projects, testPaths } = fault;
    const started = performance.now();
    const failing = projects.flatMap((project) => testPaths.filter((test) => unfit.has(`${project} ${test}`)));
    const failedIn =
      failing.length > 0 ? [] : scratch.with(path, find, put, () => runTests(scratch, projects, testPaths)).failedIn;
    const passedIn = projects.filter((project) => !failedIn.includes(project));
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    const what = `${i + 1}/${chosen.length} ${path}: ${breaks} (${seconds} s)`;
    const where = `${path}: ${breaks} (${testPaths.join(', ')} on ${passedIn.join(', ')})`;
    if (failing.length > 0) {
      console.log(`UNJUDGED  ${what}: without it ${failing.join(', ')} fails, too`);
      unjudged.push(where);
    } else if (passedIn.length > 0) {
      console.log(`SURVIVED  ${what} in ${passedIn.join(', ')}`);
      survivors.push(where);
    } else console.log(`caught    ${what}`);
  }
  console.log();
  for (const survivor of survivors) console.log(`SURVIVED  ${survivor}`);
  for (const fault of unjudged) console.log(`UNJUDGED  ${fault}`);
  const caught = chosen.length - survivors.length - unjudged.length;
  console.log(
    `${chosen.length} planted, ${caught} caught, ${survivors.length} survived, ${unjudged.length} not judged`,
  );
  return survivors.length + unjudged.length + stale.length > 0 ? 1 : 0;
}

/** Test files that fail although nothing is spoiled, each with its project in front: they show nothing. */
function failingTests(scratch: Scratch): ReadonlySet<string> {
  const projects = [...new Set(chosen.flatMap((fault) => fault.projects))];
  const failing = projects.flatMap((project) => {
    const those = chosen.filter((fault: LocatedFault) => fault.projects.includes(project));
    const tests = [...new Set(those.flatMap(({ testPaths }) => testPaths))];
    const { failedFiles } = runTests(scratch, [project], tests);
    console.log(`unspoiled ${project}: ${failedFiles.length === 0 ? 'passes' : `FAILS in ${failedFiles.join(', ')}`}`);
    return failedFiles.map((test) => `${project} ${test}`);
  });
  return new Set(failing);
}

/** The projects in which one of the tests failed, and the tests that did. One that makes them hang is seen. */
function runTests(
  scratch: Scratch,
  projects: readonly string[],
  tests: readonly string[],
): Pick<TestReport, 'failedIn' | 'failedFiles'> {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-fault-'));
  const counts = join(folder, 'counts.json');
  const isWhole = tests.length > MANY;
  const args = [
    'run',
    '--reporter=./scripts/closing-line.ts',
    ...projects.flatMap((name) => ['--project', name]),
    ...(projects.length === 1 && !isWhole ? ['--bail=1'] : []),
    ...tests,
  ];
  try {
    const { status, signal, stdout, stderr } = spawnSync(join(root, 'node_modules/.bin/vitest'), args, {
      cwd: scratch.root,
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
      timeout: isWhole ? 10 * LIMIT_MS : LIMIT_MS,
      env: {
        ...process.env,
        ...(projects.some((name) => name.startsWith('webgpu')) ? {} : NO_GPU),
        TEST_FIRST_FAILURE_ONLY: '1',
        COUNTS_FILE: counts,
        REQUIRE_BACKENDS: projects.filter((name) => name !== 'unit').join(','),
      },
    });
    if (signal) return { failedIn: projects, failedFiles: tests };
    const report = readReport(counts);
    if (!report) throw new Error(`vitest ended without a report (exit ${status}):\n${stdout}\n${stderr}`);
    // a run that ends at its first failure may leave its file without a verdict
    const isSeen = report.unhandled > 0 || (status !== 0 && report.failedIn.length === 0);
    return isSeen ? { failedIn: projects, failedFiles: tests } : report;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readReport(file: string): TestReport | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as TestReport;
  } catch {
    return undefined;
  }
}
