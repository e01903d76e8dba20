import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { faults } from './faults/list.ts';
import { locate } from './faults/locate.ts';
import { choose, readOptions } from './faults/options.ts';
import { repositoryFiles } from './faults/scratch.ts';

const root = fileURLToPath(new URL('../', import.meta.url));

describe('the list of faults', () => {
  it('applies: each text occurs once in its file, and its tests are there', () => {
    const files = repositoryFiles(root);
    const read = (path: string) => readFileSync(join(root, path), 'utf8');
    const errors = faults.flatMap((fault) => {
      try {
        locate(fault, files, read);
        return [];
      } catch (error) {
        return [String(error)];
      }
    });
    expect(errors).toEqual([]);
  });

  it('has at least 120, none twice', () => {
    expect(faults.length).toBeGreaterThanOrEqual(120);
    expect(new Set(faults.map(({ file, find, put }) => `${file} ${find} ${put}`)).size).toBe(faults.length);
  });
});

describe('a fault', () => {
  const fault = { breaks: 'x', file: 'a.ts', find: 'one', put: 'two', tests: ['a.test.ts'], projects: ['unit'] };
  const files = ['src/a.ts', 'src/a.test.ts', 'other/b.ts'];

  it('is found where its file has moved to', () => {
    const located = locate(fault, files, () => 'const one = 1;');
    expect(located).toMatchObject({ path: 'src/a.ts', testPaths: ['src/a.test.ts'] });
  });

  it('that does not apply any more is an error', () => {
    expect(() => locate(fault, files, () => 'const three = 1;')).toThrow(
      'should occur once in src/a.ts, occurs 0 times',
    );
    expect(() => locate(fault, files, () => 'one one')).toThrow('occurs 2 times');
    expect(() => locate({ ...fault, file: 'c.ts' }, files, () => 'one')).toThrow('c.ts should be one file, found none');
    expect(() => locate(fault, [...files, 'lib/a.ts'], () => 'one')).toThrow('found src/a.ts, lib/a.ts');
    expect(() => locate({ ...fault, tests: ['z.test.ts'] }, files, () => 'one')).toThrow(
      'z.test.ts should be one file',
    );
  });
});

describe('a part of the list', () => {
  const fault = (position: number, path: string, projects: readonly string[]) => ({
    ...{ position, path, projects, breaks: `number ${position}`, file: path, find: 'a', put: 'b' },
    ...{ tests: [], testPaths: [] },
  });
  const listed = [fault(1, 'a.ts', ['unit']), fault(2, 'b.ts', ['onnx', 'webgpu-node']), fault(3, 'b.ts', ['onnx'])];
  const positions = (...args: readonly string[]) =>
    choose(listed, readOptions(args)).map(({ position, projects }) => `${position} ${projects.join(' ')}`);

  it('is chosen by texts, positions and executors', () => {
    expect(positions()).toEqual(['1 unit', '2 onnx webgpu-node', '3 onnx']);
    expect(positions('--only', 'a.ts', '--only', 'number 3')).toEqual(['1 unit', '3 onnx']);
    expect(positions('--from', '2', '--to=2')).toEqual(['2 onnx webgpu-node']);
    expect(positions('--executor', 'webgpu')).toEqual(['2 webgpu-node']);
    expect(positions('--executor', 'onnx', '--from', '3')).toEqual(['3 onnx']);
    const racy = listed.map((each) => (each.position === 2 ? { ...each, softwareOnly: 'a race' } : each));
    expect(choose(racy, readOptions(['--hardware'])).map(({ position }) => position)).toEqual([1, 3]);
  });

  it('is refused where an option is unknown or no count', () => {
    expect(() => readOptions(['--jobs', '0'])).toThrow("--jobs should be a count of at least 1, got '0'");
    expect(() => readOptions(['--from', 'x'])).toThrow("--from should be a count of at least 1, got 'x'");
    expect(() => readOptions(['batcher'])).toThrow('Unexpected argument');
    expect(() => readOptions(['--froom', '1'])).toThrow('Unknown option');
  });
});

describe('files of a copy without git', () => {
  it('are all but built ones', () => {
    const folder = mkdtempSync(join(tmpdir(), 'heddle-files-'));
    try {
      for (const name of [
        'packages/a/src/x.ts',
        'packages/a/dist/x.js',
        'node_modules/y/z.js',
        'b.tsbuildinfo',
        'c.md',
      ]) {
        mkdirSync(join(folder, name, '..'), { recursive: true });
        writeFileSync(join(folder, name), '');
      }
      expect(repositoryFiles(folder).sort()).toEqual(['c.md', 'packages/a/src/x.ts']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
