import { expect, test } from 'vitest';
import { threefry2x32, uniformFromBits } from './random-bits.ts';

test('known answers of the Random123 distribution', () => {
  const cases: [[number, number, number, number], [number, number]][] = [
    [
      [0, 0, 0, 0],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7],
    ],
    [
      [0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3],
      [0xc4923a9c, 0x483df7a0],
    ],
  ];
  for (const [words, expected] of cases) expect(threefry2x32(...words)).toEqual(expected);
  expect(threefry2x32(-1, -1, -1, -1)).toEqual(threefry2x32(0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff));
});

test('each bit of the output depends on each bit of key and counter', () => {
  const base = [0x01234567, 0x89abcdef, 0x76543210, 0xfedcba98] as const;
  const from = threefry2x32(...base);
  for (let word = 0; word < 4; word++) {
    for (let bit = 0; bit < 32; bit++) {
      const changed = base.map((value, i) => (i === word ? value ^ (1 << bit) : value)) as [
        number,
        number,
        number,
        number,
      ];
      const to = threefry2x32(...changed);
      let flips = 0;
      for (const i of [0, 1] as const) for (let rest = from[i] ^ to[i]; rest !== 0; rest &= rest - 1) flips++;
      // 64 fair coins: 32 heads, standard deviation 4.
      expect(Math.abs(flips - 32)).toBeLessThan(17);
    }
  }
});

test('uniform numbers: the ends, and 64 equally filled bins', () => {
  expect(uniformFromBits([0, 0])).toBe(0);
  expect(uniformFromBits([0xffffffff, 0xffffffff])).toBe(1 - 2 ** -53);
  const draws = 64_000;
  const bins = new Array<number>(64).fill(0);
  for (let i = 0; i < draws; i++) bins[Math.floor(uniformFromBits(threefry2x32(7, 0, i, 0)) * 64)]!++;
  const chiSquare = bins.reduce((sum, count) => sum + (count - draws / 64) ** 2 / (draws / 64), 0);
  // The 99.9 % quantile at 63 degrees of freedom.
  expect(chiSquare).toBeLessThan(103.4);
});
