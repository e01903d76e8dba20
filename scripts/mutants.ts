/**
 * `npm run mutants -- batcher`: Stryker changes one expression at a time in plain TypeScript and runs the tests that reach it;
 * what no test sees is named at the end, and stands in a page in `scripts/mutants/out`. An argument is a package, or a
 * folder or file of one (`packages/tensor/src/dim.ts`). All of it happens in a copy of the repository.
 * `--tests TEXT` runs only test files whose path has the text (may be repeated), `--executor reference` those of that back end,
 * too; `--jobs N` tries N at a time.
 * Stryker is installed by `npm ci --prefix scripts/mutants`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { repositoryFiles, Scratch } from './faults/scratch.ts';
import { chooseSources, chooseTests, leftOutBackends, readMutantOptions, strykerConfig } from './mutants/options.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const stryker = join(root, 'scripts/mutants/node_modules/@stryker-mutator/core/bin/stryker.js');
if (!existsSync(stryker)) {
  console.error('npm ci --prefix scripts/mutants installs Stryker');
  process.exit(1);
}
const options = readMutantOptions(process.argv.slice(2));
const files = repositoryFiles(root);
const sources = chooseSources(options.targets, files);
const tests = chooseTests(sources, options, files);
console.log(`${sources.length} sources, ${tests.length} test files`);
const copy = new Scratch(root, files);
try {
  const config = strykerConfig(sources, tests, options.jobs, join(root, 'scripts/mutants/out'));
  writeFileSync(join(copy.root, 'stryker.config.json'), JSON.stringify(config));
  const { status } = spawnSync('node', [stryker, 'run', 'stryker.config.json'], {
    cwd: copy.root,
    stdio: 'inherit',
    env: {
      ...process.env,
      // every mutant is tried with the same cases; none needs a GPU
      TEST_SEED: process.env['TEST_SEED'] ?? '1',
      TEST_FIRST_FAILURE_ONLY: '1',
      VK_DRIVER_FILES: '/dev/null',
      WITHOUT_BACKENDS: leftOutBackends(options.executor).join(','),
    },
  });
  process.exitCode = status ?? 1;
} finally {
  copy.dispose();
}
