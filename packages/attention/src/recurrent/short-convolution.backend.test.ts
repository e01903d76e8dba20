import type { Device, Tensor } from '@heddle/tensor';
import { operationContract } from '@heddle/tensor/testing';
import { expect } from 'vitest';
import { floats } from '../../../../test-support/cases.ts';
import { conformance, test } from '../../../../test-support/suite.ts';
import { normal, normalTensor } from '../testing/numbers.ts';
import { packedShortConvolution } from './packed-short-convolution.ts';
import { shortConvolution } from './short-convolution.ts';

const values = async (x: Tensor) => Array.from(await x.data());

/** The sum that is right, for `[B, L, C]` after the rows of a history. */
function convolved(
  [B, L, C]: readonly [number, number, number],
  [x, w, bias, history]: readonly (readonly number[] | undefined)[],
): number[] {
  const W = w!.length / C;
  const row = (b: number, l: number, c: number) =>
    l >= 0 ? x![(b * L + l) * C + c]! : (history?.[(b * (W - 1) + W - 1 + l) * C + c] ?? 0);
  return Array.from({ length: B * L * C }, (_, i) => {
    const [b, l, c] = [Math.floor(i / (L * C)), Math.floor(i / C) % L, i % C];
    let sum = bias?.[c] ?? 0;
    for (let j = 0; j < W; j++) sum += row(b, l - j, c) * w![c * W + W - 1 - j]!;
    return sum;
  });
}

const cases = [
  {
    name: 'shortConvolution',
    inputs: [floats([2, 5, 3]), floats([3, 4], -1, 1)],
    f: (x: Tensor, w: Tensor) => shortConvolution(x, w).out,
    expected: (x: readonly number[], w: readonly number[]) => convolved([2, 5, 3], [x, w]),
  },
  {
    name: 'shortConvolution with a bias, after a history',
    inputs: [floats([2, 2, 3]), floats([3, 4], -1, 1), floats([3]), floats([2, 3, 3], -1, 2)],
    f: (x: Tensor, w: Tensor, bias: Tensor, history: Tensor) => shortConvolution(x, w, { bias, history }).out,
    expected: (...all: (readonly number[])[]) => convolved([2, 2, 3], all),
  },
];

conformance('short convolution', (device: () => Device) => {
  for (const { name, run } of operationContract(cases, device)) test(name, run);

  test('gives the history for what follows', async () => {
    const x = normalTensor(device(), 1, [2, 7, 3]);
    const weight = normalTensor(device(), 2, [3, 4]);
    const whole = shortConvolution(x, weight).out;
    const first = shortConvolution(x.slice(1, 0, 2), weight);
    const second = shortConvolution(x.slice(1, 2, 3), weight, { history: first.history });
    const third = shortConvolution(x.slice(1, 3), weight, { history: second.history });
    const got = await values(third.out);
    const expected = await values(whole.slice(1, 3));
    for (const [i, value] of got.entries()) expect(value).toBeCloseTo(expected[i]!, 5);
  });

  test('is the same in packed rows, from a cache, whatever the others hold', async () => {
    const [C, W, blockSize] = [4, 4, 2];
    const weight = normalTensor(device(), 3, [C, W]);
    const bias = normalTensor(device(), 4, [C]);
    // three sequences: 5 rows before and 3 now, none before and 2 now, 1 before and 1 now
    const [before, now] = [
      [5, 0, 1],
      [3, 2, 1],
    ] as const;
    const lengths = before.map((n, b) => n + now[b]!);
    const rows = lengths.map((n, b) => normal(10 + b, n * C));
    const odd = [Number.NaN, Infinity, -Infinity];
    // blocks of rows: sequence 0 has lost its first block to a window, others hold what is no number
    const pool = Array.from({ length: 8 * blockSize * C }, (_, i) => odd[i % 3]!);
    const table = [
      [5, 2, 0],
      [0, 0, 0],
      [6, 0, 0],
    ];
    const starts = [2, 0, 0];
    for (const [b, count] of before.entries())
      for (let j = starts[b]!; j < count; j++) {
        const block = table[b]![Math.floor((j - starts[b]!) / blockSize)]!;
        for (let c = 0; c < C; c++) pool[(block * blockSize + (j % blockSize)) * C + c] = rows[b]![j * C + c]!;
      }
    // rows of no sequence, and those of the second, hold what is no number
    const layout = [-1, 0, 0, 0, 1, 1, 2, -1];
    const at = [0, 5, 6, 7, 0, 1, 1, 3];
    const x = layout.flatMap((b, i) =>
      b < 0 || b === 1
        ? Array.from({ length: C }, (_, c) => odd[c % 3]!)
        : rows[b]!.slice(at[i]! * C, (at[i]! + 1) * C),
    );
    const i32 = (data: readonly number[], shape: readonly number[] = [data.length]) =>
      device().tensor(Int32Array.from(data), { shape });
    const input = device().tensor(Float32Array.from(x), { shape: [8, C] });
    const out = packedShortConvolution(input, weight, {
      segments: i32(layout),
      positions: i32(at),
      bias,
      cached: {
        rows: device().tensor(Float32Array.from(pool), { shape: [8 * blockSize, 2, C / 2] }),
        blockTable: i32(table.flat(), [3, 3]),
        lengths: i32(before),
        starts: i32(starts),
        blockSize,
      },
    });
    const got = await values(out);
    const [w, biases] = [await values(weight), await values(bias)];
    for (const b of [0, 2]) {
      const expected = convolved([1, lengths[b]!, C], [rows[b]!, w, biases]).slice(before[b]! * C);
      const from = layout.indexOf(b) * C;
      for (const [i, value] of expected.entries()) expect(got[from + i]).toBeCloseTo(value, 4);
    }
  });

  test('refuses what does not fit', () => {
    const [x, weight] = [device().zeros([2, 3, 4]), device().zeros([4, 3])];
    expect(() => shortConvolution(x, device().zeros([3, 3]))).toThrow(/weight \[C, W\], got \[2, 3, 4\] and \[3, 3\]/);
    expect(() => shortConvolution(x, weight, { history: device().zeros([2, 3, 4]) })).toThrow(
      /history must be \[2, 2, 4\]/,
    );
    expect(() => shortConvolution(x, weight, { bias: device().zeros([3]) })).toThrow(/bias must be \[4\]/);
    const segments = device().zeros([6], 'i32');
    const packed = device().zeros([6, 4]);
    expect(() => packedShortConvolution(packed, weight, { segments, positions: device().zeros([6]) })).toThrow(
      /positions must be i32/,
    );
    expect(() => packedShortConvolution(x, weight, { segments, positions: segments })).toThrow(/x must be \[T, C\]/);
  });
});
