import { type Device, gradients, type Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { openAttentionFixture } from '../../../../test-support/attention-fixtures.ts';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { relativeError } from '../testing/numbers.ts';
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

const onGpu = backendName.startsWith('webgpu');
/** In f16 a driver that emulates subgroup matrices takes half a minute to compile a kernel: one of each kind there. */
const halvesOnGpu = ['mha_full', 'gqa_causal', 'head_dim_80'];

/** Where compiling takes long, one of each kind; `attention-random` has the rest of what changes scores. */
const whereSlow = ['gqa_causal', 'decode_one_query'];

const values = async (x: Tensor) => Array.from(await x.cast('f32').data());
/** `[B, L, H, D]` in the fixtures' order of axes. */
const headsFirst = (x: Tensor) => values(x.permute([0, 2, 1, 3]));

conformance('attention', (device: () => Device) => {
  for (const name of fixtureNames) {
    test(`${name}: output, log-sum-exp and gradients as PyTorch has them`, async (context) => {
      if (!whereSlow.includes(name) && compilesSlowly(device())) context.skip(slowHere);
      const { q, k, v, spec, expected, outputGradient } = await openAttentionFixture(context, device(), name);
      const { out, lse } = attentionWithLse(q, k, v, spec);
      expect(relativeError(await headsFirst(out), await expected('out'))).toBeLessThan(2e-5);
      expect(relativeError(await values(lse), await expected('lse'))).toBeLessThan(2e-5);
      const found = gradients(out.mul(outputGradient).sum(), spec.sinks ? [q, k, v, spec.sinks] : [q, k, v]);
      for (const [i, key] of ['d_q', 'd_k', 'd_v'].entries())
        expect(relativeError(await headsFirst(found[i]!), await expected(key)), key).toBeLessThan(2e-5);
      if (found[3]) expect(relativeError(await values(found[3]), await expected('d_sinks'))).toBeLessThan(2e-5);
    });

    if (!onGpu || halvesOnGpu.includes(name))
      test(`${name}: f16 within 2e-3`, async (context) => {
        if (name === 'mha_full' && compilesSlowly(device())) context.skip(slowHere);
        const { q, k, v, spec, expected, outputGradient } = await openAttentionFixture(context, device(), name);
        const halves = [q, k, v].map((x) => x.cast('f16')) as [Tensor, Tensor, Tensor];
        const { out, lse } = attentionWithLse(...halves, spec);
        expect(out.dtype).toBe('f16');
        expect(relativeError(await headsFirst(out), await expected('out'))).toBeLessThan(2e-3);
        expect(relativeError(await values(lse), await expected('lse'))).toBeLessThan(2e-3);
        const found = gradients(out.cast('f32').mul(outputGradient).sum(), halves);
        for (const [i, key] of ['d_q', 'd_k', 'd_v'].entries())
          expect(relativeError(await headsFirst(found[i]!), await expected(key)), key).toBeLessThan(2e-3);
      }, 240_000);

    // on a GPU it is the kernel that gives both
    if (!onGpu)
      test(`${name}: the output alone and its gradients`, async (context) => {
        const { q, k, v, spec, expected, outputGradient } = await openAttentionFixture(context, device(), name);
        const out = attention(q, k, v, spec);
        expect(relativeError(await headsFirst(out), await expected('out'))).toBeLessThan(2e-5);
        const found = gradients(out.mul(outputGradient).sum(), [q, k, v]);
        for (const [i, key] of ['d_q', 'd_k', 'd_v'].entries())
          expect(relativeError(await headsFirst(found[i]!), await expected(key)), key).toBeLessThan(2e-5);
      });
  }
});
