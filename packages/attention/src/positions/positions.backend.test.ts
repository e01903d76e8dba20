import { type Device, gradients, type Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { createLearnedPositions } from './learned-positions.ts';
import { createSinusoidalPositions } from './sinusoidal-positions.ts';

const values = async (x: Tensor) => Array.from(await x.data());

conformance('positions', (device: () => Device) => {
  test('sinusoidal, alternating and in halves', async () => {
    const row = (p: number) => [Math.sin(p), Math.cos(p), Math.sin(p / 100), Math.cos(p / 100)];
    using alternating = createSinusoidalPositions(device(), { maxPositions: 8, width: 4 });
    const x = device().zeros([2, 3, 4]);
    const got = await values(alternating.forward({ x }));
    [0, 1, 2, 0, 1, 2].forEach((p, i) => {
      row(p).forEach((value, j) => {
        expect(got[4 * i + j]).toBeCloseTo(value, 6);
      });
    });
    using halves = createSinusoidalPositions(device(), { maxPositions: 8, width: 4, halves: true });
    const positions = device().tensor(Int32Array.of(7, 5));
    const rows = await values(halves.forward({ x: device().ones([2, 4]), positions }));
    for (const [i, p] of [7, 5].entries()) {
      const [a, b, c, d] = row(p);
      [a, c, b, d].forEach((value, j) => {
        expect(rows[4 * i + j]).toBeCloseTo(1 + value!, 6);
      });
    }
    expect(alternating.parameters).toEqual({});
  });

  test('learned: rows of a variable, with its gradient', async () => {
    using learned = await createLearnedPositions(device(), { maxPositions: 5, width: 3, seed: 2, deviation: 1 });
    const { table } = learned.parameters;
    const rows = await values(table!);
    const x = device().ones([2, 2, 3]);
    const positions = device().tensor(Int32Array.of(4, 1, 1, 0), { shape: [2, 2] });
    const out = learned.forward({ x, positions });
    const expected = [4, 1, 1, 0].flatMap((p) => rows.slice(3 * p, 3 * p + 3).map((value) => 1 + value));
    const got = await values(out);
    expected.forEach((value, i) => {
      expect(got[i]).toBeCloseTo(value, 5);
    });
    const [gradient] = gradients(out.sum(), [table!]);
    expect(await values(gradient!)).toEqual([1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
  });

  test('refuses what does not fit', async () => {
    using positions = createSinusoidalPositions(device(), { maxPositions: 4, width: 4 });
    expect(() => positions.forward({ x: device().zeros([2, 6]) })).toThrow(/x must be \[..., L, 4\], got \[2, 6\]/);
    expect(() => positions.forward({ x: device().zeros([5, 4]) })).toThrow(/there are 4 positions, got 5/);
    const x = device().zeros([2, 4]);
    expect(() => positions.forward({ x, positions: device().zeros([3], 'i32') })).toThrow(/positions must be \[2\]/);
    expect(() => positions.forward({ x, positions: device().zeros([2]) })).toThrow(/must be i32, got f32/);
    expect(() => createSinusoidalPositions(device(), { maxPositions: 4, width: 3 })).toThrow(
      /width must be even, got 3/,
    );
    await expect(createLearnedPositions(device(), { maxPositions: 0, width: 3, seed: 1 })).rejects.toThrow(
      /maxPositions must be a positive integer, got 0/,
    );
  });
});
