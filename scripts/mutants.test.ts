import { describe, expect, it } from 'vitest';
import { chooseSources, chooseTests, leftOutBackends, readMutantOptions, strykerConfig } from './mutants/options.ts';

const files = [
  'packages/a/src/index.ts',
  'packages/a/src/deep/x.ts',
  'packages/a/src/deep/x.test.ts',
  'packages/a/src/deep/x.backend.test.ts',
  'packages/a/src/deep/x.cases.ts',
  'packages/a/src/promises.test.ts',
  'packages/a/src/testing/contract.ts',
  'packages/a/src/testing.ts',
  'packages/a/README.md',
  'packages/ab/src/index.ts',
];

describe('mutants', () => {
  it('are made in the sources of a package, folder or file', () => {
    expect(chooseSources(['a'], files)).toEqual(['packages/a/src/index.ts', 'packages/a/src/deep/x.ts']);
    expect(chooseSources(['packages/a/src/deep/'], files)).toEqual(['packages/a/src/deep/x.ts']);
    expect(chooseSources(['packages/a/src/deep/x.ts', 'a'], files)).toHaveLength(2);
    expect(chooseSources(['packages/a/src/testing'], files)).toEqual(['packages/a/src/testing/contract.ts']);
  });

  it('are of one package, which there is', () => {
    expect(() => chooseSources(['b'], files)).toThrow("expected a package, folder or file, got 'b'");
    expect(() => chooseSources(['packages/a/src/deep/x.test.ts'], files)).toThrow('expected a package');
    expect(() => chooseSources(['a', 'ab'], files)).toThrow(
      'expected files of one package, got packages/a, packages/ab',
    );
  });

  it('are tried on the tests of their package, without those that measure', () => {
    const sources = ['packages/a/src/index.ts'];
    expect(chooseTests(sources, { tests: [], executor: undefined }, files)).toEqual(['packages/a/src/deep/x.test.ts']);
    const both = ['packages/a/src/deep/x.test.ts', 'packages/a/src/deep/x.backend.test.ts'];
    expect(chooseTests(sources, { tests: [], executor: 'reference' }, files)).toEqual(both);
    const named = { tests: ['x.backend', 'none'], executor: 'reference' } as const;
    expect(chooseTests(sources, named, files)).toEqual(both.slice(1));
    expect(() => chooseTests(sources, { tests: ['none'], executor: undefined }, files)).toThrow(
      'no tests in packages/a',
    );
    expect(strykerConfig(sources, both, 2, '/out')).toMatchObject({
      mutate: sources,
      testFiles: both,
      concurrency: 2,
      vitest: { dir: 'packages/a' },
      jsonReporter: { fileName: '/out/mutants.json' },
    });
  });

  it('take options that are known', () => {
    expect(readMutantOptions(['a'])).toEqual({ targets: ['a'], tests: [], executor: undefined, jobs: 1 });
    expect(readMutantOptions(['a', '--executor', 'reference']).executor).toBe('reference');
    expect(() => readMutantOptions([])).toThrow('expected a package, folder or file, got none');
    expect(() => readMutantOptions(['a', '--executor', 'webgpu'])).toThrow("reference or onnx, got 'webgpu'");
    expect(() => readMutantOptions(['a', '--jobs', '0'])).toThrow("count of at least 1, got '0'");
    expect(() => readMutantOptions(['a', '--froom'])).toThrow('Unknown option');
    expect(leftOutBackends(undefined)).toContain('reference');
    expect(leftOutBackends('reference')).not.toContain('reference');
  });
});
