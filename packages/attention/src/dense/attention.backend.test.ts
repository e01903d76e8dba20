import { type Device, gradients, type Tensor } from '@heddle/tensor';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { expect, type TestContext } from 'vitest';
import { needShared, needSharedJson } from '../../../../test-support/shared.ts';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { relativeError } from '../testing/numbers.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';
import { attention, attentionWithLse } from './attention.ts';
import type { AttentionSpec } from './attention-spec.ts';

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

/** A case as PyTorch computed it, with the axes of heads and rows in our order. */
async function openFixture(context: Pick<TestContext, 'skip'>, device: Device, name: string) {
  const cases = (await needSharedJson(context, 'fixtures/attention/cases.json')) as {
    name: string;
    causal: boolean;
    window: number | null;
    softcap: number | null;
    alibi: boolean;
    key_mask: boolean;
    sinks: boolean;
  }[];
  const options = cases.find((entry) => entry.name === name)!;
  const file = await openSafetensors(await needShared(context, `fixtures/attention/${name}.safetensors`));
  const read = async (key: string) => new Float32Array((await file.read(key)).buffer);
  const heads = async (key: string) =>
    device
      .tensor(await read(key), { shape: file.info(key).shape })
      .permute([0, 2, 1, 3])
      .realize();
  const mask = async () => {
    const ints = new Int32Array((await file.read('key_mask')).buffer);
    const [B, S] = file.info('key_mask').shape as [number, number];
    return device.tensor(Uint8Array.from(ints), { shape: [B, 1, 1, S], dtype: 'bool' });
  };
  const spec: AttentionSpec = {
    causal: options.causal,
    ...(options.window ? { window: options.window } : {}),
    ...(options.softcap ? { softcap: options.softcap } : {}),
    ...(options.alibi ? { alibi: true } : {}),
    ...(options.key_mask ? { mask: await mask() } : {}),
    ...(options.sinks ? { sinks: device.tensor(await read('sinks')) } : {}),
  };
  const [q, k, v, outputGradient] = await Promise.all(['q', 'k', 'v', 'd_out'].map(heads));
  return { q: q!, k: k!, v: v!, outputGradient: outputGradient!, spec, expected: read };
}

const values = async (x: Tensor) => Array.from(await x.cast('f32').data());
/** `[B, L, H, D]` in the fixtures' order of axes. */
const headsFirst = (x: Tensor) => values(x.permute([0, 2, 1, 3]));

conformance('attention', (device: () => Device) => {
  for (const name of fixtureNames) {
    test(`${name}: output, log-sum-exp and gradients as PyTorch has them`, async (context) => {
      if (!whereSlow.includes(name) && compilesSlowly(device())) context.skip(slowHere);
      const { q, k, v, spec, expected, outputGradient } = await openFixture(context, device(), name);
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
        const { q, k, v, spec, expected, outputGradient } = await openFixture(context, device(), name);
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
        const { q, k, v, spec, expected, outputGradient } = await openFixture(context, device(), name);
        const out = attention(q, k, v, spec);
        expect(relativeError(await headsFirst(out), await expected('out'))).toBeLessThan(2e-5);
        const found = gradients(out.mul(outputGradient).sum(), [q, k, v]);
        for (const [i, key] of ['d_q', 'd_k', 'd_v'].entries())
          expect(relativeError(await headsFirst(found[i]!), await expected(key)), key).toBeLessThan(2e-5);
      });
  }
});
