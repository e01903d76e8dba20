/**
 * `npm run faults`: plants each fault of the list in a copy of the repository, one at a time, and runs the tests that must
 * see it. A fault survives if they pass in one of its projects; the exit code says whether one did. Words after `--` choose:
 * `npm run faults -- batcher` plants those whose file or description has the word, and `--list` plants none.
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
const files = repositoryFiles(root);
const chosen = faults
  .map((fault) => locate(fault, files, (path) => readFileSync(join(root, path), 'utf8')))
  .filter(
    ({ path, breaks }) => words.length === 0 || words.some((word) => path.includes(word) || breaks.includes(word)),
  );

/** Longest that the tests of a fault may take; one that makes them hang is seen. */
const LIMIT_MS = 300_000;

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
  const broken = checkUnspoiled(scratch);
  if (broken.length > 0) {
    console.log(`without a fault these fail, so they show nothing: ${broken.join(', ')}`);
    return 2;
  }
  const survivors: string[] = [];
  for (const [i, { path, find, put, breaks, projects, testPaths }] of chosen.entries()) {
    const started = performance.now();
    const failedIn = scratch.with(path, find, put, () => runTests(scratch, projects, testPaths));
    const passedIn = failedIn === 'hung' ? [] : projects.filter((project) => !failedIn.includes(project));
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    const what = `${i + 1}/${chosen.length} ${path}: ${breaks} (${seconds} s)`;
    console.log(passedIn.length === 0 ? `caught    ${what}` : `SURVIVED  ${what} in ${passedIn.join(', ')}`);
    if (passedIn.length > 0) survivors.push(`${path}: ${breaks} (${testPaths.join(', ')} on ${passedIn.join(', ')})`);
  }
  console.log();
  for (const survivor of survivors) console.log(`SURVIVED  ${survivor}`);
  console.log(`${chosen.length} planted, ${chosen.length - survivors.length} caught, ${survivors.length} survived`);
  return survivors.length > 0 ? 1 : 0;
}

/** The projects in which the tests fail although nothing is spoiled. */
function checkUnspoiled(scratch: Scratch): string[] {
  const projects = [...new Set(chosen.flatMap((fault) => fault.projects))];
  return projects.filter((project) => {
    const those = chosen.filter((fault: LocatedFault) => fault.projects.includes(project));
    const failedIn = runTests(scratch, [project], [...new Set(those.flatMap(({ testPaths }) => testPaths))]);
    console.log(`unspoiled ${project}: ${failedIn.length === 0 ? 'passes' : 'FAILS'}`);
    return failedIn.length > 0;
  });
}

/** The projects in which one of the tests failed; none of them may be missing. */
function runTests(scratch: Scratch, projects: readonly string[], tests: readonly string[]): readonly string[] | 'hung' {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-fault-'));
  const counts = join(folder, 'counts.json');
  const args = [
    'run',
    '--reporter=./scripts/closing-line.ts',
    ...projects.flatMap((name) => ['--project', name]),
    ...(projects.length === 1 && tests.length <= 10 ? ['--bail=1'] : []),
    ...tests,
  ];
  try {
    const { status, signal, stdout, stderr } = spawnSync(join(root, 'node_modules/.bin/vitest'), args, {
      cwd: scratch.root,
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
      timeout: tests.length > 10 ? 10 * LIMIT_MS : LIMIT_MS,
      env: {
        ...process.env,
        ...(projects.some((name) => name.startsWith('webgpu')) ? {} : NO_GPU),
        TEST_FIRST_FAILURE_ONLY: '1',
        COUNTS_FILE: counts,
        REQUIRE_BACKENDS: projects.filter((name) => name !== 'unit').join(','),
      },
    });
    if (signal) return 'hung';
    const report = readReport(counts);
    if (!report) throw new Error(`vitest ended without a report (exit ${status}):\n${stdout}\n${stderr}`);
    if (report.unhandled > 0) return projects;
    return report.failedIn;
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
