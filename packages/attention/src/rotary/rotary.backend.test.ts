import { type Device, gradients, type Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { normal, relativeError } from '../testing/numbers.ts';
import { rotary } from './rotary.ts';
import { rotaryFrequencies } from './rotary-frequencies.ts';
import { rotaryTable } from './rotary-table.ts';

const spec = (dim: number) => ({ theta: 10000, dim, scaling: { kind: 'default' } }) as const;

/** The rotation of one head, written as complex numbers. */
function turn(head: number[], position: number, dim: number, interleaved: boolean, sign = 1): number[] {
  const { inverseFrequencies } = rotaryFrequencies(spec(dim));
  const out = [...head];
  for (let i = 0; i < dim / 2; i++) {
    const [a, b] = interleaved ? [2 * i, 2 * i + 1] : [i, i + dim / 2];
    const angle = sign * position * inverseFrequencies[i]!;
    out[a] = head[a]! * Math.cos(angle) - head[b]! * Math.sin(angle);
    out[b] = head[b]! * Math.cos(angle) + head[a]! * Math.sin(angle);
  }
  return out;
}

const heads = (x: ArrayLike<number>, dim: number) =>
  Array.from({ length: x.length / dim }, (_, i) => Array.from({ length: dim }, (_, d) => x[i * dim + d]!));

const values = async (x: Tensor) => Array.from(await x.data());

conformance('rotary', (device: () => Device) => {
  for (const interleaved of [false, true])
    for (const rotated of [8, 4])
      for (const rows of [[3], [2, 3]])
        test(`turns ${rotated} of 8 components of [${rows}] rows${interleaved ? ', interleaved' : ''}`, async () => {
          const count = rows.reduce((a, b) => a * b);
          const positions = [5, 0, 19, 2, 7, 1].slice(0, count);
          const data = normal(1, count * 2 * 8);
          const table = rotaryTable(device(), spec(rotated), 20);
          const x = device().tensor(data, { shape: [...rows, 2, 8] });
          const where = device().tensor(positions, { shape: rows, dtype: 'i32' });
          const y = rotary(x, where, table, { interleaved });
          const expected = heads(data, 8).flatMap((head, i) =>
            turn(head, positions[Math.floor(i / 2)]!, rotated, interleaved),
          );
          expect(relativeError(await values(y), expected)).toBeLessThan(1e-6);

          const weights = normal(2, data.length);
          const [gradient] = gradients(y.mul(device().tensor(weights, { shape: x.shape as number[] })).sum(), [x]);
          const back = heads(weights, 8).flatMap((head, i) =>
            turn(head, positions[Math.floor(i / 2)]!, rotated, interleaved, -1),
          );
          expect(relativeError(await values(gradient!), back)).toBeLessThan(1e-6);
        });

  test('rounds f16 once', async () => {
    const data = normal(3, 2 * 8);
    const x = device()
      .tensor(data, { shape: [1, 2, 8] })
      .cast('f16');
    const table = rotaryTable(device(), spec(8), 16);
    const y = rotary(x, device().tensor([11], { dtype: 'i32' }), table);
    expect(y.dtype).toBe('f16');
    const expected = heads(await values(x.cast('f32')), 8).flatMap((head) => turn(head, 11, 8, false));
    expect(relativeError(await values(y.cast('f32')), expected)).toBeLessThan(5e-4);
  });

  test('gives NaN for what would turn outside of the table', async () => {
    const data = normal(4, 3 * 4);
    const table = rotaryTable(device(), spec(4), 6);
    const x = device().tensor(data, { shape: [3, 1, 4] });
    const y = rotary(x, device().tensor([-3, 5, 99], { dtype: 'i32' }), table);
    const got = heads(await values(y), 4);
    expect([got[0], got[2]]).toEqual([Array(4).fill(Number.NaN), Array(4).fill(Number.NaN)]);
    expect(relativeError(got[1]!, turn(heads(data, 4)[1]!, 5, 4, false))).toBeLessThan(1e-6);
    const wide = device().tensor(normal(5, 6), { shape: [1, 1, 6] });
    const part = await values(rotary(wide, device().tensor([6], { dtype: 'i32' }), table));
    expect(part.map(Number.isNaN)).toEqual([true, true, true, true, false, false]);
  });

  test('refuses shapes and dtypes that do not fit', () => {
    const x = device().zeros([3, 2, 8]);
    const table = rotaryTable(device(), spec(8), 4);
    const at = device().zeros([3], 'i32');
    expect(() => rotary(x, device().zeros([2], 'i32'), table)).toThrow(
      /positions \[\.\.\.\], got \[3, 2, 8\] and \[2\]/,
    );
    expect(() => rotary(x, device().zeros([3]), table)).toThrow(/positions i32/);
    expect(() => rotary(device().zeros([3, 2, 6]), at, table)).toThrow(/R at most the head's 6/);
    expect(() => rotaryTable(device(), spec(8), 0)).toThrow(/maxPositions must be a positive integer, got 0/);
  });
});
