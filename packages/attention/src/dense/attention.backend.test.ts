import { type Device, gradients, type Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { openAttentionFixture } from '../../../../test-support/attention-fixtures.ts';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { relativeError, valuesOf } from '../testing/numbers.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';
import { attention, attentionWithLse } from './attention.ts';

const fixtureNames = [
  'mha_full',
  'mha_causal',
  'gqa_causal',
  'mqa_causal',
  'causal_longer_keys',
  'decode_one_query',
  'window',
  'softcap',
  'alibi',
  'padded',
  'sinks',
  'head_dim_80',
  'head_dim_256',
];

/** One of each kind of kernel; a driver that emulates subgroup matrices takes half a minute to compile one in f16. */
const inHalves = [
  'mha_full',
  'gqa_causal',
  'head_dim_80',
  ...(backendName === 'onnx' ? ['window', 'sinks', 'padded'] : []),
];

/** Where compiling takes long, one of each kind; `attention-random` has the rest of what changes scores. */
const whereSlow = ['gqa_causal', 'decode_one_query'];

/** `[B, L, H, D]` in the fixtures' order of axes. */
const headsFirst = (x: Tensor) => x.permute([0, 2, 1, 3]);

conformance('attention', (device: () => Device) => {
  /** Compares the output, the gradients with respect to q, k and v, and others, with arrays of the fixture. */
  async function same(
    expected: (key: string) => Promise<Float32Array>,
    out: Tensor,
    found: readonly Tensor[],
    others: Readonly<Record<string, Tensor>>,
    limit: number,
  ): Promise<void> {
    const keys = ['out', 'd_q', 'd_k', 'd_v', ...Object.keys(others)];
    const all = await valuesOf(device(), [...[out, ...found].map(headsFirst), ...Object.values(others)]);
    for (const [i, key] of keys.entries()) expect(relativeError(all[i]!, await expected(key)), key).toBeLessThan(limit);
  }

  for (const name of fixtureNames) {
    test(`${name}: output, log-sum-exp and gradients as PyTorch has them`, async (context) => {
      if (!whereSlow.includes(name) && compilesSlowly(device())) context.skip(slowHere);
      const { q, k, v, spec, expected, outputGradient } = await openAttentionFixture(context, device(), name);
      const { out, lse } = attentionWithLse(q, k, v, spec);
      const loss = out.mul(outputGradient).sum();
      const [dq, dk, dv, bySinks] = gradients(loss, spec.sinks ? [q, k, v, spec.sinks] : [q, k, v]);
      await same(expected, out, [dq!, dk!, dv!], { lse, ...(bySinks && { d_sinks: bySinks }) }, 2e-5);
    });

    if (inHalves.includes(name))
      test(`${name}: f16 within 2e-3`, async (context) => {
        if (name !== 'gqa_causal' && compilesSlowly(device())) context.skip(slowHere);
        const { q, k, v, spec, expected, outputGradient } = await openAttentionFixture(context, device(), name);
        const halves = [q, k, v].map((x) => x.cast('f16')) as [Tensor, Tensor, Tensor];
        const { out, lse } = attentionWithLse(...halves, spec);
        expect(out.dtype).toBe('f16');
        const found = gradients(out.cast('f32').mul(outputGradient).sum(), halves);
        await same(expected, out, found, { lse }, 2e-3);
      }, 240_000);

    // on a GPU it is the kernel that gives both, and on the reference the operations
    if (backendName === 'onnx')
      test(`${name}: the output alone and its gradients`, async (context) => {
        const { q, k, v, spec, expected, outputGradient } = await openAttentionFixture(context, device(), name);
        const out = attention(q, k, v, spec);
        await same(expected, out, gradients(out.mul(outputGradient).sum(), [q, k, v]), {}, 2e-5);
      });
  }
});
