import { expect, test } from 'vitest';
import { addDims, multiplyDims, symbolicDim, symbolsOf } from '../../../dim.ts';
import { SizeCache } from './size-cache.ts';

const [B, T] = [symbolicDim('B', 64), symbolicDim('T', 64)];
const open = () => new SizeCache([...symbolsOf(B), ...symbolsOf(T)]);

test('a run says which symbolic dimensions it changes, each of them', () => {
  const cache = open();
  expect(cache.update({ B: 2, T: 3 })).toBe(0b11);
  expect(cache.update({ B: 2, T: 3 })).toBe(0);
  expect(cache.update({ B: 4, T: 3 })).toBe(0b01);
  expect(cache.update({ B: 4, T: 5 })).toBe(0b10);
  expect(cache.update({ B: 6, T: 7 })).toBe(0b11);
});

test('a size is that of the run, and says what it depends on', () => {
  const cache = open();
  const tokens = addDims(multiplyDims(B, T), 1);
  expect(() => cache.size(tokens)).toThrow('has no value in this run');
  cache.update({ B: 2, T: 3 });
  cache.asked = 0;
  expect([cache.size(tokens), cache.asked]).toEqual([7, 0b11]);
  cache.asked = 0;
  expect([cache.size(T), cache.size(9), cache.asked]).toEqual([3, 9, 0b10]);
  cache.update({ B: 2, T: 5 });
  expect([cache.size(tokens), cache.size(tokens), cache.size(B)]).toEqual([11, 11, 2]);
});
