import { compile, gradients, type InputSpec, type Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { decode, flash } from '../kernels/flash.ts';
import { naive } from '../kernels/naive.ts';
import { compilesSlowly } from '../testing/software-gpu.ts';
import { attentionWithMass } from './attention.ts';
import type { AttentionSpec } from './attention-spec.ts';

const [H, D] = [2, 8];
const lowest = -3.4028234663852886e38;

conformance('attention over nothing', (device) => {
  /** The output, the log-sum-exp, the weights of keys and the gradients with respect to q, k and v, of values that are all 1. */
  async function run(sizes: { B: number; L: number; S: number }, named: 'B' | 'L' | 'S', spec: AttentionSpec) {
    const dim = (name: 'B' | 'L' | 'S') => (name === named ? name : sizes[name]);
    const [q, kv]: InputSpec[] = [{ shape: [dim('B'), dim('L'), H, D] }, { shape: [dim('B'), dim('S'), H, D] }];
    const step = compile(
      (q: Tensor, k: Tensor, v: Tensor) => {
        const { out, lse, mass } = attentionWithMass(q, k, v, spec);
        return [out, lse, mass, ...gradients(out.sum(), [q, k, v])];
      },
      { device: device(), inputs: [q!, kv!, kv!], symbols: { [named]: 4 } },
    );
    const ones = (length: number) => new Float32Array(sizes.B * length * H * D).fill(1);
    const results = await step(ones(sizes.L), ones(sizes.S), ones(sizes.S));
    const found = await Promise.all(results.map(async (x) => ({ shape: x.shape, of: new Set(await x.data()) })));
    step.dispose();
    return found;
  }

  for (const named of ['B', 'L', 'S'] as const)
    test(`in a run of a compiled function whose ${named} is 0`, async () => {
      const sizes = { B: 2, L: 3, S: 3, [named]: 0 };
      const { B, L, S } = sizes;
      const specs = [{}, { causal: true, window: 2 }, { causal: true }, { alibi: true }, { softcap: 3 }];
      for (const spec of compilesSlowly(device()) ? specs.slice(0, 2) : specs) {
        const found = await run(sizes, named, spec);
        expect(found.map(({ shape }) => shape)).toEqual([
          [B, L, H, D],
          [B, H, L],
          [B, S, H],
          [B, L, H, D],
          [B, S, H, D],
          [B, S, H, D],
        ]);
        for (const [i, { shape, of }] of found.entries())
          expect([...of], `${i} of ${JSON.stringify(spec)}`).toEqual(shape.includes(0) ? [] : [i === 1 ? lowest : 0]);
      }
    });

  for (const kernel of [flash(), decode(), naive()])
    test(`${kernel.name}: no rows, over a cache of some sequences and of none`, async () => {
      const rows: InputSpec = { shape: ['T', H, D] };
      const attend = compile(
        (q: Tensor, k: Tensor, v: Tensor, at: Tensor, pool: Tensor, blockTable: Tensor, lengths: Tensor) => {
          const kv = { keys: pool, values: pool, blockTable, lengths, blockSize: 4, maxLength: 8 };
          const { out, lse } = kernel.attendWithLse!(q, k, v, kv, { segments: at, positions: at });
          return [out, lse];
        },
        {
          device: device(),
          inputs: [
            rows,
            rows,
            rows,
            { shape: ['T'], dtype: 'i32' },
            { shape: [8, H, D] },
            { shape: ['B', 2], dtype: 'i32' },
            { shape: ['B'], dtype: 'i32' },
          ],
          symbols: { T: 4, B: 4 },
        },
      );
      for (const [T, B] of [
        [0, 2],
        [0, 0],
        [1, 1],
      ] as const) {
        const ones = new Float32Array(T * H * D).fill(1);
        const tables = [new Int32Array(B * 2), new Int32Array(B).fill(3)] as const;
        const pool = new Float32Array(8 * H * D).fill(1);
        const [out, lse] = await attend(ones, ones, ones, new Int32Array(T), pool, ...tables);
        expect([out!.shape, lse!.shape]).toEqual([
          [T, H, D],
          [T, H],
        ]);
        for (const x of await out!.data()) expect(x).toBeCloseTo(1, 5);
        // all scores are 8 / sqrt(8)
        for (const x of await lse!.data()) expect(x).toBeCloseTo(Math.sqrt(8) + Math.log(4), 4);
      }
      attend.dispose();
    });
});
