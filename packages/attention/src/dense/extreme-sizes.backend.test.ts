import { type Device, gradients, type Tensor, take } from '@heddle/tensor';
import { expect } from 'vitest';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { decode, paged } from '../kernels/flash.ts';
import { normalTensor, relativeError } from '../testing/numbers.ts';
import { packedCase, packedExpected } from '../testing/packed-case.ts';
import { packedTensors } from '../testing/packed-tensors.ts';
import { attention, attentionWithLse, attentionWithMass } from './attention.ts';
import { lowestScore } from './mask-value.ts';

const values = async (x: Tensor) => Array.from(await x.data());
const onGpu = backendName.startsWith('webgpu');
const isSoftware = ({ description }: Device) => /swiftshader|llvmpipe|lavapipe/i.test(description);
/** More than a GPU has workgroups along one dimension. */
const many = 65_537;

conformance('attention of extreme sizes', (device: () => Device) => {
  test('more sequences than a dimension has workgroups: output and gradients', async (context) => {
    if (!onGpu) context.skip('only a GPU has workgroups');
    leaveToNode(context);
    if (isSoftware(device())) context.skip('so many workgroups take minutes on a software GPU');
    const [q, k, v] = [1, 2, 3].map((seed) => normalTensor(device(), seed, [many, 1, 1, 4])) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const out = attention(q, k, v, { causal: true });
    // of one key, whose probability is 1
    expect(relativeError(await values(out), await values(v))).toBeLessThan(1e-6);
    const [byQuery, byValue] = await Promise.all(gradients(out.mul(k).sum(), [q, v]).map(values));
    expect(byQuery!.every((x) => Math.abs(x) < 1e-5)).toBe(true);
    expect(relativeError(byValue!, await values(k))).toBeLessThan(1e-6);
    const { mass } = attentionWithMass(q, k, v);
    expect((await values(mass)).every((x) => Math.abs(x - 1) < 1e-6)).toBe(true);
    const parity = device().tensor(Int32Array.from({ length: many }, (_, b) => b % 2));
    const hidden = attention(q, k, v, { maskMod: ({ b }) => take(parity, b).equal(0) });
    const shown = (await values(v)).map((x, i) => (Math.floor(i / 4) % 2 === 0 ? x : 0));
    expect(relativeError(await values(hidden), shown)).toBeLessThan(1e-6);
  }, 240_000);

  test('more heads than a dimension has workgroups', async (context) => {
    if (!onGpu) context.skip('only a GPU has workgroups');
    leaveToNode(context);
    if (isSoftware(device())) context.skip('so many workgroups take minutes on a software GPU');
    const [q, k, v] = [1, 2, 3].map((seed) => normalTensor(device(), seed, [1, 1, many, 4])) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    expect(relativeError(await values(attention(q, k, v)), await values(v))).toBeLessThan(1e-6);
    const c = packedCase({ rows: [1], before: [2], H: many, K: many, D: 4, blockSize: 4 });
    const expected = packedExpected(c);
    for (const kernel of [paged(), decode()]) {
      const { q, k, v, kv, spec } = packedTensors(device(), c);
      expect(relativeError(await values(kernel.attend(q, k, v, kv, spec)), expected), kernel.name).toBeLessThan(5e-6);
    }
  }, 240_000);

  for (const [name, B, L, S] of [
    ['sequences', 0, 3, 3],
    ['queries', 2, 0, 3],
    ['keys', 2, 3, 0],
  ] as const)
    test(`no ${name}: zeros, and gradients of 0`, async () => {
      const make = (length: number, heads: number) => device().ones([B, length, heads, 8]);
      const [q, k, v] = [make(L, 4), make(S, 2), make(S, 2)];
      for (const spec of [{}, { causal: true }, { softcap: 3, window: 2 }]) {
        const { out, lse } = attentionWithLse(q, k, v, spec);
        expect([out.shape, lse.shape]).toEqual([
          [B, L, 4, 8],
          [B, 4, L],
        ]);
        expect((await values(out)).every((x) => x === 0)).toBe(true);
        expect((await values(lse)).every((x) => x === Math.fround(lowestScore))).toBe(true);
        expect((await values(attention(q, k, v, spec))).every((x) => x === 0)).toBe(true);
        for (const found of gradients(out.sum(), [q, k, v]))
          expect((await values(found)).every((x) => x === 0)).toBe(true);
      }
    });
});
