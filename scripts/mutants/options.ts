import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

/** What is mutated, and how it is tested. */
export interface MutantOptions {
  /** Packages by name, or paths of folders and files of one package, from the root. */
  readonly targets: readonly string[];
  /** Texts of which the path of a test file must have one; with none of them all of the package's are run. */
  readonly tests: readonly string[];
  /** A back end whose tests are run beside the unit tests. */
  readonly executor: 'reference' | 'onnx' | undefined;
  /** How many mutants are tried at the same time. */
  readonly jobs: number;
}

/** Back ends of vitest.config.ts where VK_DRIVER_FILES is set. */
const BACKENDS = ['reference', 'onnx', 'webgpu-node', 'webgpu-browser', 'onnx-browser'];

/**
 * Reads the arguments of `npm run mutants`.
 *
 * @throws TypeError if there is an argument that it does not know; RangeError if no target is given or a value is none of
 * those that are allowed
 */
export function readMutantOptions(args: readonly string[]): MutantOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      tests: { type: 'string', multiple: true, default: [] },
      executor: { type: 'string' },
      jobs: { type: 'string', default: '1' },
    },
  });
  const { executor } = values;
  const jobs = Number(values.jobs);
  if (positionals.length === 0) throw new RangeError('mutants: expected a package, folder or file, got none');
  if (executor !== undefined && executor !== 'reference' && executor !== 'onnx')
    throw new RangeError(`mutants: --executor should be reference or onnx, got '${executor}'`);
  if (!Number.isInteger(jobs) || jobs < 1)
    throw new RangeError(`mutants: --jobs should be a count of at least 1, got '${values.jobs}'`);
  return { targets: positionals, tests: values.tests, executor, jobs: Math.min(jobs, availableParallelism()) };
}

/** The back ends that are not run. */
export const leftOutBackends = (executor: string | undefined): string[] => BACKENDS.filter((name) => name !== executor);

/**
 * The sources among `files` that `targets` name. The contracts in `testing` are tests themselves: they are mutated where a
 * target names them.
 *
 * @throws RangeError if a target has no sources, or if they belong to several packages
 */
export function chooseSources(targets: readonly string[], files: readonly string[]): string[] {
  const chosen = targets.flatMap((target) => {
    const path = target.includes('/') ? target.replace(/\/+$/, '') : `packages/${target}/src`;
    const found = files.filter((file) => (file === path || file.startsWith(`${path}/`)) && isSource(file));
    const wanted = /\/testing(\/|\.ts$|$)/.test(path) ? found : found.filter((file) => !/\/testing[/.]/.test(file));
    if (wanted.length === 0) throw new RangeError(`mutants: expected a package, folder or file, got '${target}'`);
    return wanted;
  });
  const packages = [...new Set(chosen.map(packageOf))];
  if (packages.length > 1) throw new RangeError(`mutants: expected files of one package, got ${packages.join(', ')}`);
  return [...new Set(chosen)];
}

const isSource = (file: string): boolean =>
  /^packages\/[^/]+\/src\/.*\.ts$/.test(file) && !/\.(test|cases|d)\.ts$/.test(file);

const packageOf = (file: string): string => file.split('/').slice(0, 2).join('/');

/**
 * The tests among `files` that mutants of `sources` are tried on: those of their package that `options` name, without those that
 * measure times and memory, which the counters of Stryker change.
 *
 * @throws RangeError if there are none
 */
export function chooseTests(
  sources: readonly string[],
  { tests, executor }: Pick<MutantOptions, 'tests' | 'executor'>,
  files: readonly string[],
): string[] {
  const folder = `${packageOf(sources[0]!)}/src/`;
  const chosen = files.filter(
    (file) =>
      file.startsWith(folder) &&
      file.endsWith('.test.ts') &&
      !/(\/promises|-allocations|\.clients)\.test\.ts$/.test(file) &&
      (executor !== undefined || !file.endsWith('.backend.test.ts')) &&
      (tests.length === 0 || tests.some((text) => file.includes(text))),
  );
  if (chosen.length === 0) throw new RangeError(`mutants: no tests in ${folder} for ${tests.join(', ') || 'unit'}`);
  return chosen;
}

/** Settings of Stryker for a copy of the repository; the report is written to `folder`. */
export const strykerConfig = (
  sources: readonly string[],
  tests: readonly string[],
  jobs: number,
  folder: string,
): object => ({
  mutate: sources,
  testFiles: tests,
  inPlace: true,
  disableTypeChecks: false,
  plugins: ['@stryker-mutator/vitest-runner'],
  testRunner: 'vitest',
  vitest: { configFile: 'vitest.config.ts', dir: packageOf(sources[0]!) },
  coverageAnalysis: 'perTest',
  concurrency: jobs,
  // texts are those of errors and documents, or literals whose types the compiler checks
  mutator: { excludedMutations: ['StringLiteral'] },
  // each would need every test of its package
  ignoreStatic: true,
  timeoutMS: 5_000,
  dryRunTimeoutMinutes: 15,
  reporters: ['clear-text', 'progress-append-only', 'html', 'json'],
  clearTextReporter: { allowColor: false, allowEmojis: false, logTests: false, reportTests: false },
  htmlReporter: { fileName: `${folder}/mutants.html` },
  jsonReporter: { fileName: `${folder}/mutants.json` },
  allowConsoleColors: false,
});
