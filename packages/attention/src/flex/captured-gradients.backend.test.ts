import { compile, customVjp, type Device, gradients, stopGradient, type Tensor, take } from '@heddle/tensor';
import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { attention } from '../dense/attention.ts';
import type { AttentionSpec } from '../dense/attention-spec.ts';
import { normalTensor, relativeError, valuesOf } from '../testing/numbers.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';
import type { MaskMod, ScoreMod } from './trace.ts';

/** Adds a value of head and distance, from a table `[H * buckets]`. */
const byDistance =
  (table: Tensor, buckets: number): ScoreMod =>
  (score, { h, q, k }) => {
    const distance = q.sub(k).abs();
    return score.add(take(table, h.mul(buckets).add(distance.minimum(buckets - 1))));
  };
const values = async (x: Tensor) => Array.from(await x.cast('f32').data());

conformance('gradients with respect to tensors that scores read', (device: () => Device) => {
  const make = (seed: number, shape: readonly number[]) => normalTensor(device(), seed, shape);
  const onGpu = backendName.startsWith('webgpu');
  /** Heads, rows, keys and buckets; only a GPU has tiles. */
  const severalTiles = onGpu ? ([4, 75, 107, 130] as const) : ([4, 15, 27, 30] as const);

  /** The gradients with respect to `wrt` with two specs that say the same, the second with tensors as large as the scores of a head. */
  async function same(
    [B, L, S, H, K, D]: readonly [number, number, number, number, number, number],
    a: AttentionSpec,
    b: AttentionSpec,
    wrt: readonly Tensor[],
    limit = 2e-5,
  ): Promise<void> {
    const [q, k, v] = [make(1, [B, L, H, D]), make(2, [B, S, K, D]), make(3, [B, S, K, D])];
    const weights = make(4, [B, L, H, D]);
    const [found, wanted] = [a, b].map((spec) => gradients(attention(q, k, v, spec).mul(weights).sum(), wrt));
    const all = await valuesOf(device(), [...found!, ...wanted!]);
    for (const i of wrt.keys()) expect(relativeError(all[i]!, all[wrt.length + i]!), `${i}`).toBeLessThan(limit);
  }

  /** A bias of head and of positions, as long as `buckets`, and the same as `[H, L, S]`. */
  function bucketed(H: number, L: number, S: number, buckets: number, table: Tensor) {
    const scoreMod: ScoreMod = (score, { h, q, k }) => {
      const bucket = q
        .sub(k)
        .add(S)
        .maximum(0)
        .minimum(buckets - 1);
      return score.add(take(table, h.mul(buckets).add(bucket)));
    };
    const index = Int32Array.from({ length: H * L * S }, (_, i) => {
      const distance = (Math.floor(i / S) % L) + S - L - (i % S);
      return Math.floor(i / (L * S)) * buckets + Math.min(Math.max(distance + S, 0), buckets - 1);
    });
    return { scoreMod, full: take(table, device().tensor(index, { shape: [H, L, S] })) };
  }

  test('a table of head and distance over several tiles, of grouped heads', async () => {
    const [H, L, S, buckets] = severalTiles;
    const table = make(5, [H * buckets]);
    const { scoreMod, full } = bucketed(H, L, S, buckets, table);
    await same([2, L, S, H, 2, 8], { scoreMod, causal: true }, { bias: full, causal: true }, [table]);
  });

  test('a tensor that is read in two ways and changes the score by itself, in f16, behind a softcap', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const [B, L, S, H] = [2, 41, 70, 2];
    const factors = await make(5, [H, 1, 1]).cast('f16').realize();
    const scoreMod: ScoreMod = (score, { h, k }) =>
      score.mul(factors.cast('f32')).add(
        take(factors.reshape([H]), h)
          .cast('f32')
          .mul(k.cast('f32').mul(0.1)),
      );
    // as large as the scores of a head, so that they are held
    const wide = factors.cast('f32').expand([H, L, S]);
    const held: ScoreMod = (score, { k }) => score.mul(wide).add(wide.mul(k.cast('f32').mul(0.1)));
    const spec: AttentionSpec = { softcap: 2, window: 30, causal: true };
    await same([B, L, S, H, H, 8], { ...spec, scoreMod }, { ...spec, scoreMod: held }, [factors], 2e-3);
  }, 120_000);

  test('a bias that broadcasts and ALiBi slopes, with dropout; more tiles than workgroups', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    // 540 tiles for 512 workgroups
    const [B, L, S, H, K, D] = onGpu ? ([60, 70, 70, 6, 3, 4] as const) : ([2, 19, 19, 6, 3, 4] as const);
    const [bias, alibi] = [make(5, [H, 1, S]), make(6, [H])];
    const spec: AttentionSpec = { causal: true, dropout: { p: 0.2, seed: 3 } };
    const distance = device().tensor(
      Float32Array.from({ length: L * S }, (_, i) => Math.abs(Math.floor(i / S) - (i % S))),
      { shape: [L, S] },
    );
    const full = bias.sub(alibi.reshape([H, 1, 1]).mul(distance));
    await same([B, L, S, H, K, D], { ...spec, bias, alibi }, { ...spec, bias: full }, [bias, alibi]);
  }, 120_000);

  test('the same bits twice', async () => {
    const [H, L, S, buckets] = severalTiles;
    const table = make(5, [H * buckets]);
    const { scoreMod } = bucketed(H, L, S, buckets, table);
    const [q, k, v] = [make(1, [2, L, H, 8]), make(2, [2, S, 2, 8]), make(3, [2, S, 2, 8])];
    const step = compile((q: Tensor) => gradients(attention(q, k, v, { scoreMod, causal: true }).sum(), [table])[0]!);
    expect(await (await step(q)).data()).toEqual(await (await step(q)).data());
  });

  test('no plan holds the scores', async (context) => {
    if (!onGpu) context.skip('the other executors hold them');
    const [rows, dim, buckets] = [512, 8, 20];
    const shape = [1, rows, 2, dim];
    const step = compile((q: Tensor, k: Tensor, v: Tensor, table: Tensor) => {
      const scoreMod = byDistance(table, buckets);
      return gradients(attention(q, k, v, { scoreMod }).sum(), [table])[0]!;
    });
    (await step(make(1, shape), make(2, shape), make(3, shape), make(5, [2 * buckets]))).dispose();
    const labels = (await step.report()).kernels.map(({ kernel }) => kernel);
    expect(labels).toContain('attentionReadGradient');
    // inputs are 32 KiB each, the tables of all workgroups 80; the scores of one head would be 1 MiB
    expect(step.plannedBytes()!.peak).toBeLessThan(rows * rows * 2);
    step.dispose();
  });

  test('with symbolic dimensions too', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const [H, D, buckets] = [2, 8, 20];
    const x = { shape: [1, 'T', H, D] };
    const step = compile(
      (q: Tensor, k: Tensor, v: Tensor, table: Tensor) => {
        const scoreMod = byDistance(table, buckets);
        const maskMod: MaskMod = ({ q, k }) => k.lessEqual(q);
        return gradients(attention(q, k, v, { scoreMod, maskMod }).sum(), [table])[0]!;
      },
      { device: device(), inputs: [x, x, x, { shape: [H * buckets] }], symbols: { T: 128 } },
    );
    const table = make(5, [H * buckets]);
    for (const T of [3, 90]) {
      const [q, k, v] = [1, 2, 3].map((seed) => make(seed, [1, T, H, D])) as [Tensor, Tensor, Tensor];
      const index = Int32Array.from({ length: H * T * T }, (_, i) => {
        const distance = Math.abs((Math.floor(i / T) % T) - (i % T));
        return Math.floor(i / (T * T)) * buckets + Math.min(distance, buckets - 1);
      });
      const bias = take(table, device().tensor(index, { shape: [H, T, T] }));
      const [wanted] = gradients(attention(q, k, v, { bias, causal: true }).sum(), [table]);
      expect(relativeError(await values(await step(q, k, v, table)), await values(wanted!))).toBeLessThan(2e-5);
    }
    step.dispose();
  }, 120_000);

  test('functions and tensors for which there is no such kernel are right as well', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const [B, L, S, H, K, D] = [2, 9, 12, 2, 1, 8];
    const [full, table] = [make(5, [L, S]), make(6, [H, S])];
    // the one is as large as the scores of a head, the other is flipped behind an exponential
    const scoreMod: ScoreMod = (score, { h }) =>
      score.add(full).add(
        take(table, h.reshape([H]))
          .exp()
          .reshape([H, 1, S]),
      );
    const bias = full.add(table.exp().reshape([H, 1, S]));
    await same([B, L, S, H, K, D], { scoreMod }, { bias }, [full, table]);
  });

  test('what stops a gradient, or has a rule for it, does so of what is read, too', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const [B, L, S, H, K, D] = [1, 9, 12, 2, 1, 8];
    const table = make(6, [H + 2, S]);
    const row = (h: Tensor) => take(table.slice(0, 1, H + 1), h.reshape([H])).reshape([H, 1, S]);
    const thrice = customVjp(
      (x: Tensor) => x.mul(2),
      ({ outputGradients: [g] }) => [g!.mul(3)],
    );
    for (const change of [(x: Tensor) => x.mul(stopGradient(x)), thrice]) {
      const bias = change(table.slice(0, 1, H + 1).reshape([H, 1, S]));
      await same([B, L, S, H, K, D], { scoreMod: (score, { h }) => score.add(change(row(h))) }, { bias }, [table]);
    }
  });
});
