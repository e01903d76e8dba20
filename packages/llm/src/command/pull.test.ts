import { expect, test } from 'vitest';
import { parsePull, progressLine } from './pull.ts';

test('a model is named', () => {
  expect(parsePull(['--model', 'owner/name@v1'])).toEqual({ model: 'owner/name@v1', json: false });
  expect(parsePull(['--model', 'owner/name', '--json']).json).toBe(true);
  expect(() => parsePull([])).toThrow(/pull needs --model owner\/name/);
});

test('progress is a line', () => {
  const line = progressLine({ loadedBytes: 2 ** 29, totalBytes: 2 ** 30, loadedFiles: 1, totalFiles: 4 });
  expect(line).toBe(`[${'#'.repeat(15)}${'.'.repeat(15)}] 50% 512.0 MiB of 1.00 GiB, 1 of 4 files`);
  expect(progressLine({ loadedBytes: 0, totalBytes: 0, loadedFiles: 0, totalFiles: 0 })).toMatch(/100% 0 B of 0 B/);
});
