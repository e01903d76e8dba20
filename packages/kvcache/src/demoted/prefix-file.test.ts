import { expect, test, vi } from 'vitest';
import { keyValueShape } from '../index.ts';
import { chainDigest, decodePrefixBlock, encodePrefixBlock, rootDigest } from './prefix-file.ts';

const shape = keyValueShape({ layers: 1, heads: 1, headDim: 2, dtype: 'f16' });
const identity = {
  ...{ key: 'k', namespace: 'n', group: 0, start: 4, tokens: [1, 2, 3, 4] },
  cache: { model: 'm', shape, formats: {}, blockSize: 4 },
};
const content = { exact: true, rounded: false, bytes: Uint8Array.from({ length: 32 }, (_, i) => 7 * i) };
const lengthOf = (rounded: boolean) => (rounded ? 24 : 32);

test('a block is what was written, and nothing where any bit is another, a part is missing, or it is of something else', async () => {
  const file = await encodePrefixBlock(identity, content);
  expect(await decodePrefixBlock(identity, lengthOf, file)).toEqual(content);
  for (let bit = 0; bit < 8 * file.length; bit += 3) {
    const other = file.slice();
    other[bit >> 3]! ^= 1 << (bit & 7);
    expect(await decodePrefixBlock(identity, lengthOf, other), `bit ${bit}`).toBeUndefined();
  }
  for (let end = 0; end < file.length; end++)
    expect(await decodePrefixBlock(identity, lengthOf, file.subarray(0, end)), `cut at ${end}`).toBeUndefined();
  for (const change of [{ key: 'l' }, { namespace: '' }, { group: 1 }, { start: 0 }, { tokens: [1, 2, 3, 5] }])
    expect(await decodePrefixBlock({ ...identity, ...change }, lengthOf, file)).toBeUndefined();
  const cache = { ...identity.cache, model: 'other' };
  expect(await decodePrefixBlock({ ...identity, cache }, lengthOf, file)).toBeUndefined();
});

test('names are the same whichever way of the platform makes them', async () => {
  const name = async () => chainDigest(rootDigest(identity.cache, 'n', 'salt'), identity.tokens);
  const own = await name();
  const lookup = vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined as never);
  const other = await name();
  lookup.mockRestore();
  expect(other).toEqual(own);
  expect(own).not.toEqual(await chainDigest(rootDigest(identity.cache, 'n', 'pepper'), identity.tokens));
});
