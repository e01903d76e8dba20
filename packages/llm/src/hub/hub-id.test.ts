import { posix, win32 } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { hubIdOf, isPlainPath, parseHubId } from './hub-id.ts';

test.each([
  ['owner/name', { name: 'owner/name', revision: 'main' }],
  ['meta-llama/Llama-3.1-8B@v1.0', { name: 'meta-llama/Llama-3.1-8B', revision: 'v1.0' }],
  ['a/b@refs/pr/1', { name: 'a/b', revision: 'refs/pr/1' }],
  ['a/b:q4_k.gguf', { name: 'a/b', revision: 'main', file: 'q4_k.gguf' }],
  ['a/b@main:q4_k.GGUF', { name: 'a/b', revision: 'main', file: 'q4_k.GGUF' }],
])('%s names a model', (text, id) => {
  expect(parseHubId(text)).toEqual(id);
});

test.each([
  'name',
  '/owner/name',
  './owner/name',
  '../owner',
  'owner/..',
  'a/b/c',
  'models/x.gguf/',
  'a/b@../../x',
  'a/b@x//y',
  'a/b@',
  'a/b:../x.gguf',
  'a/b:x.bin',
  'a--b/c',
  'a\\b/c',
  'C:/x',
  'a/b c',
  '',
])('%j is a path, or nothing', (text) => {
  expect(parseHubId(text)).toBeUndefined();
  expect(() => hubIdOf('pullModel', text)).toThrow(/named owner\/name/);
});

test('a plain path stays within its folder, on every system', () => {
  const piece = fc.constantFrom('..', '.', '', '/', '\\', 'a', 'B.b', ':', '\0', ' ', 'con', '...', '~');
  const path = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')),
  );
  fc.assert(
    fc.property(path, (text) => {
      if (!isPlainPath(text)) return;
      for (const { join, relative, sep, resolve } of [posix, win32]) {
        const inside = relative(resolve('/cache'), resolve(join('/cache', text)));
        expect(inside.split(sep)[0]).not.toBe('..');
        expect(inside).not.toBe('');
      }
    }),
    runs(2000),
  );
});
