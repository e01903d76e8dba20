import { type Device, gradients, type Tensor, take } from '@heddle/tensor';
import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { normalTensor, relativeError } from '../testing/numbers.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';
import { attention, attentionWithLse, attentionWithMass } from './attention.ts';
import type { AttentionSpec } from './attention-spec.ts';

const values = async (x: Tensor) => Array.from(await x.cast('f32').data());
const lowestFloat = -3.4028234663852886e38;

conformance('scores that are huge and finite', (device: () => Device) => {
  const make = (seed: number, S: number, D: number, dtype: 'f32' | 'f16') =>
    normalTensor(device(), seed, [1, S, 1, D]).cast(dtype);

  /** What comes of scores that are all the same: means, whatever the scores are. */
  async function areMeans(S: number, D: number, dtype: 'f32' | 'f16', spec: (score: number) => AttentionSpec) {
    const zeros = device().zeros([1, S, 1, D]).cast(dtype);
    const v = make(3, S, D, dtype);
    for (const score of [-1e30, 1e30, 1e20, -1e6, lowestFloat]) {
      const { out, mass } = attentionWithMass(zeros, zeros, v, spec(score));
      const [byValue] = gradients(out.cast('f32').sum(), [v]);
      const [weights, got, slopes] = await Promise.all([mass, out, byValue!].map(values));
      const near = dtype === 'f16' ? 2e-3 : 1e-5;
      for (const x of weights!) expect(x, `${score}`).toBeCloseTo(1, 4);
      for (const x of slopes!) expect(Math.abs(x - 1), `${score}`).toBeLessThan(near);
      const rows = await values(v.cast('f32').mean(1, { keepDims: true }).expand([1, S, 1, D]));
      expect(relativeError(got!, rows), `${score}`).toBeLessThan(near);
    }
  }

  const biased = (S: number) => (score: number) => ({
    bias: device().tensor(new Float32Array(S * S).fill(score), { shape: [S, S] }),
  });
  test('of a bias: means, and their gradients', () => areMeans(5, 8, 'f32', biased(5)));
  test('of a bias, in f16', async (context) => {
    if (backendName.startsWith('webgpu') && compilesSlowly(device())) context.skip(slowHere);
    await areMeans(37, 16, 'f16', biased(37));
  });
  // captured: one kernel for all scores
  const made = (score: number): AttentionSpec => {
    const table = device().tensor([score]);
    return { scoreMod: (s, { h }) => s.mul(0).add(take(table, h)) };
  };
  test('of a score function', () => areMeans(5, 8, 'f32', made));
  test('of a score function, in f16', async (context) => {
    if (backendName.startsWith('webgpu') && compilesSlowly(device())) context.skip(slowHere);
    await areMeans(37, 16, 'f16', made);
  });

  test('what is added to all scores of a row changes no gradient', async () => {
    const [S, D] = [9, 8];
    const [q, k, v] = [make(1, S, D, 'f32'), make(2, S, D, 'f32'), make(3, S, D, 'f32')];
    const bias = device().tensor(new Float32Array(S * S).fill(2 ** 14), { shape: [S, S] });
    const found = async (spec: AttentionSpec) =>
      Promise.all(gradients(attention(q, k, v, spec).exp().sum(), [q, k, v]).map(values));
    const [plain, raised] = [await found({}), await found({ bias })];
    // scores beside 2^14 are rounded to 2^-10
    for (const [i, x] of raised.entries()) expect(relativeError(x, plain[i]!), `${i}`).toBeLessThan(3e-3);
  });

  test('a score function that gives minus infinity hides keys, and the lowest number does not', async () => {
    const [S, D] = [4, 8];
    const x = make(1, S, D, 'f32');
    for (const [score, expected] of [
      [-Infinity, 0],
      [lowestFloat, 1],
    ] as const) {
      const ones = device().ones([1, S, 1, D]);
      const { out, lse } = attentionWithLse(x, x, ones, { scoreMod: (s) => s.mul(0).add(score) });
      for (const got of await values(out)) expect(got).toBeCloseTo(expected, 5);
      for (const got of await values(lse)) expect(got).toBe(expected === 0 ? lowestFloat : -(2 ** 126));
    }
  });
});
