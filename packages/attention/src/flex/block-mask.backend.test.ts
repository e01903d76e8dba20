import { compile, type Device, gradients, type Tensor, take } from '@heddle/tensor';
import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { attention, attentionWithMass } from '../dense/attention.ts';
import { placeShapes } from '../dense/places.ts';
import { normalTensor, relativeError, valuesOf } from '../testing/numbers.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';
import { maskBlocks } from './block-mask.ts';
import { type MaskMod, type ScoreMod, traceFunctions } from './trace.ts';

conformance('blocks of a mask', (device: () => Device) => {
  const make = (seed: number, shape: readonly number[]) => normalTensor(device(), seed, shape);
  const onGpu = backendName.startsWith('webgpu');
  /** Sequences of 64 tokens each, one after the other. */
  const ofDocuments: MaskMod = ({ q, k }) => q.div(64).equal(k.div(64));

  test('say of each block whether nothing, something or all is seen', async () => {
    const sizes = { B: 2, H: 3, K: 3, D: 8, L: 70, S: 101 };
    const limit = device().tensor(Int32Array.of(40, 64));
    const cases: readonly [MaskMod, readonly number[], (b: number, h: number, q: number, k: number) => boolean][] = [
      [({ q, k }) => k.lessEqual(q).and(q.sub(k).less(20)), [1, 1, 3, 4], (_b, _h, q, k) => k <= q && q - k < 20],
      [({ k }) => k.less(64), [1, 1, 3, 4], (_b, _h, _q, k) => k < 64],
      [
        ({ b, h, k }) => k.less(take(limit, b)).or(h.equal(2)),
        [2, 3, 3, 4],
        (b, h, _q, k) => k < [40, 64][b]! || h === 2,
      ],
    ];
    for (const [maskMod, shape, sees] of cases) {
      const blocks = maskBlocks(
        device(),
        traceFunctions('attention', device(), placeShapes(sizes), { maskMod }),
        sizes,
      )!;
      expect(blocks.shape).toEqual(shape);
      const [B, H, rows, keys] = shape as [number, number, number, number];
      const expected = Array.from({ length: B * H * rows * keys }, (_, i) => {
        const [b, h] = [Math.floor(i / (H * rows * keys)), Math.floor(i / (rows * keys)) % H];
        const [y, x] = [Math.floor(i / keys) % rows, i % keys];
        const seen: boolean[] = [];
        for (let l = 32 * y; l < Math.min(32 * y + 32, sizes.L); l++)
          for (let k = 32 * x; k < Math.min(32 * x + 32, sizes.S); k++) seen.push(sees(b, h, l + sizes.S - sizes.L, k));
        return seen.every((is) => is) ? 2 : Number(seen.some((is) => is));
      });
      expect(Array.from(await blocks.data())).toEqual(expected);
    }
  });

  /** Documents 0 and 2 of three with keys and values of document 1 that spoil what they are multiplied with, even by 0. */
  async function passesOver(dtype: 'f32' | 'f16', heads: readonly [number, number], limit: number): Promise<void> {
    const [S, D] = [160, 32];
    const [H, K] = heads;
    const place = (rows: number, inside: number, outside: number) =>
      device().tensor(
        Float32Array.from({ length: rows }, (_, i) => (i >= 64 && i < 128 ? inside : outside)),
        { shape: [1, rows, 1, 1] },
      );
    const [q, k, v, g] = await Promise.all(
      [H, K, K, H].map((heads, i) =>
        make(i + 1, [1, S, heads, D])
          .cast(dtype)
          .realize(),
      ),
    );
    const poison = place(S, Number.NaN, 0);
    const [badK, badV] = await Promise.all([k!, v!].map((x) => x.cast('f32').add(poison).cast(dtype).realize()));
    // nothing is captured: of 8 buffers those of the gradients with respect to keys leave one to the blocks
    const scoreMod: ScoreMod = (score, { h }) => score.mul(h.cast('f32').add(1));
    const run = (k: Tensor, v: Tensor) => {
      const out = attention(q!, k, v, { scoreMod, maskMod: ofDocuments });
      const found = gradients(out.cast('f32').mul(g!.cast('f32')).sum(), [q!, k, v]);
      return valuesOf(device(), [out, ...found]);
    };
    const [clean, spoiled] = [await run(k!, v!), await run(badK!, badV!)];
    for (const [i, name] of ['out', 'dq', 'dk', 'dv'].entries()) {
      const per = clean[i]!.length / S;
      const kept = (all: readonly number[]) => all.filter((_, at) => at / per < 64 || at / per >= 128);
      expect(relativeError(kept(spoiled[i]!), kept(clean[i]!)), name).toBeLessThanOrEqual(limit);
    }
  }

  test('tiles that nobody sees are not read, forward and backward', async (context) => {
    if (!onGpu) context.skip('the other executors multiply them by 0');
    await passesOver('f32', [2, 2], 0);
  });

  test('neither of grouped heads, nor in f16, by whatever kernels there are', async (context) => {
    if (!onGpu) context.skip('the other executors multiply them by 0');
    if (compilesSlowly(device())) context.skip(slowHere);
    await passesOver('f32', [6, 2], 0);
    await passesOver('f16', [2, 1], 0);
  }, 240_000);

  test('sums by keys and by tensors pass over them too', async (context) => {
    if (!onGpu) context.skip('the other executors multiply them by 0');
    if (compilesSlowly(device())) context.skip(slowHere);
    const [S, H, D] = [160, 2, 8];
    const maskMod: MaskMod = ({ k }) => k.less(64).or(k.greaterEqual(128));
    const poison = device().tensor(
      Float32Array.from({ length: S }, (_, i) => (i >= 64 && i < 128 ? Number.NaN : 0)),
      { shape: [1, S, 1, 1] },
    );
    const [q, k, v] = [make(1, [1, S, H, D]), make(2, [1, S, H, D]), make(3, [1, S, H, D])];
    const table = make(5, [H]);
    const scoreMod: ScoreMod = (score, { h }) => score.mul(take(table, h));
    const run = (k: Tensor, v: Tensor) => {
      const { out, mass } = attentionWithMass(q, k, v, { scoreMod, maskMod });
      return valuesOf(device(), [mass, ...gradients(out.exp().sum(), [table])]);
    };
    expect(await run(k.add(poison), v.add(poison))).toEqual(await run(k, v));
  });

  test('what a mask function gives is what the same mask in a tensor gives, where tiles are passed over and where not', async () => {
    const [B, L, S, H, K, D] = [2, onGpu ? 75 : 25, onGpu ? 139 : 39, 4, 2, 16] as const;
    const sees = (q: number, k: number) => k < 9 || (k <= q && q - k < 24);
    const maskMod: MaskMod = ({ q, k }) => k.less(9).or(k.lessEqual(q).and(q.sub(k).less(24)));
    const mask = device().tensor(
      Uint8Array.from({ length: L * S }, (_, i) => Number(sees(Math.floor(i / S) + S - L, i % S))),
      { shape: [L, S], dtype: 'bool' },
    );
    const [q, k, v] = [make(1, [B, L, H, D]), make(2, [B, S, K, D]), make(3, [B, S, K, D])];
    const [found, wanted] = [{ maskMod }, { mask }].map((spec) => {
      const out = attention(q, k, v, spec);
      return [out, ...gradients(out.mul(make(4, [B, L, H, D])).sum(), [q, k, v])];
    });
    const all = await valuesOf(device(), [...found!, ...wanted!]);
    for (const i of found!.keys()) expect(relativeError(all[i]!, all[found!.length + i]!), `${i}`).toBeLessThan(2e-6);
  });

  test('are computed once for an attention and its gradients, and not for each head', async (context) => {
    if (!onGpu) context.skip('the other executors have no kernels that read them');
    const [S, H, D] = [96, 2, 16];
    const step = compile((q: Tensor, k: Tensor, v: Tensor) =>
      gradients(attention(q, k, v, { maskMod: ofDocuments }).sum(), [q, k, v]),
    );
    const [q, k, v] = [1, 2, 3].map((seed) => make(seed, [1, S, H, D])) as [Tensor, Tensor, Tensor];
    for (const x of await step(q, k, v)) x.dispose();
    const { kernels } = await step.report();
    expect(kernels.filter(({ kernel }) => kernel === 'attentionMaskBlocks')).toHaveLength(1);
    step.dispose();
  });
});
