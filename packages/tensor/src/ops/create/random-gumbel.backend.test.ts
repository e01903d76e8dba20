import { expect } from 'vitest';
import { operations } from '../../../../../test-support/operations.ts';
import { conformance, test } from '../../../../../test-support/suite.ts';
import { gumbelFromBits, threefry2x32 } from '../../random/random-bits.ts';
import { randomGumbelCases } from './random-gumbel.cases.ts';
import { randomGumbel } from './random-gumbel.ts';

operations('randomGumbel', randomGumbelCases);

conformance('Gumbel noise', (device) => {
  const u32 = (values: readonly number[], shape: readonly number[]) =>
    device().tensor(Uint32Array.from(values), { shape, dtype: 'u32' });

  test('is that of the host within 1e-5, wherever a row stands', async () => {
    const [rows, size] = [4, 500];
    const keys = [1, 2, 3, 4, 1, 2, 5, 6];
    const noise = await randomGumbel(u32(keys, [rows, 2]), u32([9, 9, 9, 10], [rows]), size).data();
    const off = Array.from(noise, (value, at) => {
      const [row, i] = [Math.floor(at / size), at % size];
      const bits = threefry2x32(keys[2 * row]!, keys[2 * row + 1]!, i, row === 3 ? 10 : 9);
      return Math.abs(value - gumbelFromBits(bits));
    });
    expect(Math.max(...off)).toBeLessThan(1e-5);
    expect([...noise.slice(0, size)]).toEqual([...noise.slice(2 * size, 3 * size)]); // rows of one key and counter
  });

  test('has the distribution: even shares of its values', async () => {
    const draws = 20_000;
    const noise = await randomGumbel(u32([21, 22], [1, 2]), u32([3], [1]), draws).data();
    const shares = new Array<number>(20).fill(0);
    // the distribution function, exp(-exp(-x)), of Gumbel values is uniform
    for (const value of noise) shares[Math.min(19, Math.floor(Math.exp(-Math.exp(-value)) * 20))]!++;
    // chi squared with 19 degrees of freedom is above 43.8 once in a thousand keys
    const expected = draws / 20;
    expect(shares.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)).toBeLessThan(43.8);
  });

  test('refuses what is no key', () => {
    const one = u32([1], [1]);
    expect(() => randomGumbel(u32([1, 2], [2]), one, 3)).toThrow(
      /takes keys \[R, 2\] and counters \[R\], got \[2\] and/,
    );
    expect(() => randomGumbel(u32([1, 2, 3, 4], [2, 2]), one, 3)).toThrow(/got \[2, 2\] and \[1\]/);
    expect(() => randomGumbel(device().full([1, 2], 1), one, 3)).toThrow(/must be u32, got f32 and u32/);
    expect(() => randomGumbel(7 as never, one, 3)).toThrow(/keys must be a tensor, got the number 7/);
  });
});
