import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { faults } from './faults/list.ts';
import { locate } from './faults/locate.ts';
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
