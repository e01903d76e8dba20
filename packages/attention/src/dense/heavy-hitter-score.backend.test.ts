import { type Device, gradients, type Tensor, take } from '@heddle/tensor';
import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { normalTensor, relativeError } from '../testing/numbers.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';
import { attentionWithMass } from './attention.ts';
import type { AttentionSpec } from './attention-spec.ts';

const [B, L, S, H, K] = [2, 37, 70, 4, 2];
const values = async (x: Tensor) => Array.from(await x.data());

conformance('probability mass of keys', (device: () => Device) => {
  const make = (seed: number, shape: readonly number[]) => normalTensor(device(), seed, shape);
  /** Values that are the unit vectors of their keys make the output the probabilities. */
  async function same(spec: AttentionSpec): Promise<Tensor> {
    const [q, k] = [make(1, [B, L, H, S]), make(2, [B, S, K, S])];
    const unit = Float32Array.from({ length: B * S * K * S }, (_, i) => Number(Math.floor(i / (K * S)) % S === i % S));
    const { out, mass } = attentionWithMass(q, k, device().tensor(unit, { shape: [B, S, K, S] }), spec);
    const expected = out
      .reshape([B, L, K, H / K, S])
      .sum([1, 3])
      .permute([0, 2, 1]);
    expect(mass.shape).toEqual([B, S, K]);
    expect(relativeError(await values(mass), await values(expected))).toBeLessThan(2e-6);
    return mass;
  }

  test('sums the probabilities of the queries and heads of a group', async () => {
    const keyLengths = device().tensor(Int32Array.of(S, 0));
    const mass = await values(await same({ causal: true, keyLengths, sinks: make(3, [H]) }));
    // nothing is seen in the second sequence
    expect(mass.slice(S * K).every((x) => x === 0)).toBe(true);
  });

  test('with score functions', async () => {
    await same({ maskMod: ({ q, k }) => k.less(9).or(q.sub(k).abs().less(5)), scoreMod: (score) => score.mul(0.5) });
  });

  test('of long rows is what equal scores give, where rows see nothing and tiles are passed over', async (context) => {
    if (backendName.startsWith('webgpu') && compilesSlowly(device())) context.skip(slowHere);
    const long = 600;
    const [zeros, v] = [device().zeros([1, long, 1, 4]), make(6, [1, long, 1, 4])];
    const third = device().tensor(Int32Array.from({ length: long }, (_, q) => Number(q % 3 === 0)));
    const specs: readonly (readonly [AttentionSpec, (q: number) => boolean])[] = [
      [{ causal: true }, () => true],
      [{ maskMod: ({ q, k }) => k.lessEqual(q).and(take(third, q).equal(0)) }, (q) => q % 3 !== 0],
    ];
    for (const [spec, isShown] of specs) {
      const mass = await values(attentionWithMass(zeros, zeros, v, spec).mass);
      let right = 0;
      for (let key = long - 1; key >= 0; key--) {
        if (isShown(key)) right += 1 / (key + 1); // of the query at the key, and of all behind it
        expect(Math.abs(mass[key]! - right), `${key}`).toBeLessThan(1e-5 * Math.max(1, right));
      }
    }
  });

  // of the decomposition, which a kernel replaces; no other kernels to compile
  if (backendName.startsWith('webgpu')) return;

  test('is what it is without dropout', async () => {
    const [q, k, v] = [make(1, [1, 9, 2, 16]), make(2, [1, 9, 1, 16]), make(3, [1, 9, 1, 16])];
    const [plain, dropped] = [{}, { dropout: { p: 0.5, seed: 4 } }].map(
      (spec) => attentionWithMass(q, k, v, spec).mass,
    );
    expect(relativeError(await values(dropped!), await values(plain!))).toBeLessThan(1e-6);
    // all probabilities of 9 queries in 2 heads
    expect(Math.abs((await plain!.sum().item()) - 18)).toBeLessThan(1e-4);
  });

  test('has gradients', async () => {
    const [q, k, v] = [make(1, [1, 3, 2, 16]), make(2, [1, 5, 1, 16]), make(3, [1, 5, 1, 16])];
    const weights = make(4, [1, 5, 1]);
    const loss = (x: Tensor) => attentionWithMass(q, x, v, { causal: true }).mass.mul(weights).sum();
    const [found] = gradients(loss(k), [k]);
    const direction = make(5, [1, 5, 1, 16]);
    const along = await found!.mul(direction).sum().item();
    const moved = (by: number) => loss(k.add(direction.mul(by))).item();
    expect(Math.abs(along - ((await moved(1e-2)) - (await moved(-1e-2))) / 2e-2)).toBeLessThan(2e-3);
  });
});
