import { concat, type Device, type Tensor, take } from '@heddle/tensor';
import { expect } from 'vitest';
import { openAttentionFixture } from '../../../../test-support/attention-fixtures.ts';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { flash } from '../kernels/flash.ts';
import { naive } from '../kernels/naive.ts';
import { relativeError } from '../testing/numbers.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';

const causal = [
  'mha_causal',
  'gqa_causal',
  'mqa_causal',
  'causal_longer_keys',
  'decode_one_query',
  'window',
  'softcap',
];
const names = [...causal, 'sinks', 'head_dim_80', 'head_dim_256', 'padded', 'alibi'];
const onGpu = backendName.startsWith('webgpu');
const blockSize = 16;
/** Rows of the step; what is before them is in the cache. */
const lastRows = 5;

const values = async (x: Tensor) => Array.from(await x.cast('f32').data());

conformance('packed attention of a paged cache, as PyTorch has it', (device: () => Device) => {
  // `decode` is a choice between kernels of a GPU
  for (const kernel of onGpu ? [flash()] : [flash(), naive()])
    for (const name of names)
      test(`${kernel.name}: ${name}`, async (context) => {
        if (compilesSlowly(device()) && name !== 'sinks') context.skip(slowHere);
        const fixture = await openAttentionFixture(context, device(), name);
        const [B, L, H, D] = fixture.q.shape as [number, number, number, number];
        const [S, K] = fixture.k.shape.slice(1) as [number, number];
        const n = Math.min(lastRows, L);
        const before = S - n;
        const N = Math.ceil(S / blockSize);
        const rows = (x: Tensor, heads: number, from: number) => x.slice(1, from).reshape([B * n, heads, D]);
        // each sequence has N blocks in a row, the last of which is not full
        const pool = (x: Tensor) => {
          const blank = device().zeros([B, N * blockSize - before, K, D]);
          return concat([x.slice(1, 0, before), blank], 1).reshape([B * N * blockSize, K, D]);
        };
        const ints = (count: number, shape: readonly number[], value: (i: number) => number) =>
          device().tensor(
            Int32Array.from({ length: count }, (_, i) => value(i)),
            { shape },
          );
        const { window, softcap, sinks, mask, alibi } = fixture.spec;
        const kv = {
          keys: pool(fixture.k),
          values: pool(fixture.v),
          blockTable: ints(B * N, [B, N], (i) => i),
          lengths: ints(B, [B], () => before),
          blockSize,
          maxLength: Math.max(1, before),
        };
        const slopes = device().tensor(Float32Array.from({ length: H }, (_, h) => 2 ** ((-8 * (h + 1)) / H)));
        const out = kernel.attend(
          rows(fixture.q, H, L - n),
          rows(fixture.k, K, before),
          rows(fixture.v, K, before),
          kv,
          {
            segments: ints(B * n, [B * n], (i) => Math.floor(i / n)),
            positions: ints(B * n, [B * n], (i) => before + (i % n)),
            ...(window ? { window } : {}),
            ...(softcap ? { softcap } : {}),
            ...(sinks ? { sinks } : {}),
            ...(mask
              ? { maskMod: ({ b, k }) => take(mask.reshape([B * S]).cast('i32'), b.mul(S).add(k)).greater(0) }
              : {}),
            ...(alibi
              ? { scoreMod: (score, { h, q, k }) => score.sub(take(slopes, h).mul(q.sub(k).abs().cast('f32'))) }
              : {}),
          },
        );
        const expected = Array.from(await fixture.expected('out'));
        const got = await values(out.reshape([B, n, H, D]).permute([0, 2, 1, 3]));
        const wanted = Array.from({ length: B * H }, (_, i) =>
          expected.slice((i * L + L - n) * D, (i + 1) * L * D),
        ).flat();
        expect(relativeError(got, wanted)).toBeLessThan(2e-5);
      }, 240_000);
});
