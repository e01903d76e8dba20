import { compile, type Device, gradients, type Tensor } from '@heddle/tensor';
import fc from 'fast-check';
import { expect } from 'vitest';
import { conformance, test } from '../../../test-support/suite.ts';
import type { AttendSpec } from './attention-kernel.ts';
import { flash } from './flash.ts';
import type { KvView } from './kv-view.ts';
import { naive } from './naive.ts';
import { normal, relativeError } from './testing/numbers.ts';
import { type PackedCase, packedCase, packedExpected } from './testing/packed-case.ts';

const kernels = [flash(), naive()];
const values = async (x: Tensor) => Array.from(await x.cast('f32').data());

/** A case as tensors of a device. */
function tensorsOf(device: Device, { sizes: { T, H, K, D, B, N, blockSize }, data, spec, dtype, cached }: PackedCase) {
  const ints = (list: readonly number[], shape: readonly number[]) =>
    device.tensor(list as number[], { shape, dtype: 'i32' });
  const slots = data.keys.length / (K * D);
  const kv: KvView = {
    keys: device.tensor(data.keys, { shape: [slots, K, D], dtype }),
    values: device.tensor(data.values, { shape: [slots, K, D], dtype }),
    blockTable: ints(data.blockTable, [B, N]),
    lengths: ints(data.lengths, [B]),
    blockSize,
    maxLength: N * blockSize,
  };
  const own = {
    q: device.tensor(data.q, { shape: [T, H, D] }),
    k: device.tensor(data.k, { shape: [T, K, D] }),
    v: device.tensor(data.v, { shape: [T, K, D] }),
  };
  const attend: AttendSpec = { segments: ints(data.segments, [T]), positions: ints(data.positions, [T]), ...spec };
  return { ...own, kv: cached ? kv : undefined, spec: attend };
}

conformance('packed attention', (device: () => Device) => {
  for (const kernel of kernels) {
    const check = async (c: PackedCase) => {
      const { q, k, v, kv, spec } = tensorsOf(device(), c);
      const got = await values(kernel.attend(q, k, v, kv, spec));
      return relativeError(got, packedExpected(c));
    };
    const cases: [string, Parameters<typeof packedCase>[0]][] = [
      ['one row, no key before it', { rows: [1], before: [0] }],
      ['one row after 300 keys', { rows: [1], before: [300], blockSize: 512 }],
      ['grouped heads over pages of 4', { rows: [5], before: [11], blockSize: 4, H: 6, K: 2 }],
      ['one row each of sequences of different lengths', { rows: [1, 1, 1, 1], before: [3, 17, 0, 40], blockSize: 8 }],
      ['chunks and single rows together', { rows: [7, 1, 3], before: [5, 33, 0], blockSize: 16, H: 4, K: 1 }],
      ['rows that belong to nothing', { rows: [3, 2], before: [4, 2], idle: 3 }],
      ['a sequence without rows in the step', { rows: [2, 0, 1], before: [4, 9, 2] }],
      ['only rows that belong to nothing', { rows: [0], before: [4], idle: 2 }],
      ['a window', { rows: [9, 1], before: [20, 30], blockSize: 4, spec: { window: 7 } }],
      ['softcap and scale', { rows: [4, 2], before: [6, 0], spec: { softcap: 2, scale: 0.7 } }],
      ['no cache', { rows: [6, 5, 1], before: [0, 0, 0], cached: false, idle: 1 }],
      ['no cache, a window', { rows: [33, 40], before: [0, 0], cached: false, spec: { window: 5 } }],
      ['many rows of a head of 80', { rows: [70, 3], before: [65, 1], D: 80, H: 2, K: 1 }],
    ];
    for (const [name, options] of cases)
      test(`${kernel.name}: ${name}`, async () => {
        expect(await check(packedCase(options))).toBeLessThan(2e-6);
      });

    test(`${kernel.name}: an f16 cache with f32 queries`, async () => {
      expect(await check(packedCase({ rows: [3, 1], before: [12, 5], blockSize: 4, dtype: 'f16' }))).toBeLessThan(2e-6);
    });

    test(`${kernel.name}: rows that belong to nothing give exactly 0`, async () => {
      const c = packedCase({ rows: [2], before: [3], idle: 2 });
      const { q, k, v, kv, spec } = tensorsOf(device(), c);
      const got = await values(kernel.attend(q, k, v, kv, spec));
      const rowSize = c.sizes.H * c.sizes.D;
      c.data.segments.forEach((segment, t) => {
        const row = got.slice(t * rowSize, (t + 1) * rowSize);
        expect(row.every((x) => x === 0)).toBe(segment < 0);
      });
    });

    test(`${kernel.name}: random sizes`, async () => {
      const side = fc.record({ rows: fc.integer({ min: 0, max: 9 }), before: fc.integer({ min: 0, max: 40 }) });
      const shape = fc.record({
        sequences: fc.array(side, { minLength: 1, maxLength: 4 }),
        idle: fc.integer({ min: 0, max: 2 }),
        blockSize: fc.constantFrom(1, 4, 16, 64),
        K: fc.integer({ min: 1, max: 3 }),
        G: fc.integer({ min: 1, max: 4 }),
        D: fc.constantFrom(8, 16, 20, 64),
        window: fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }),
        seed: fc.nat(1000),
      });
      await fc.assert(
        fc.asyncProperty(shape, async ({ sequences, idle, blockSize, K, G, D, window, seed }) => {
          fc.pre(sequences.some(({ rows }) => rows > 0) || idle > 0);
          const c = packedCase({
            rows: sequences.map(({ rows }) => rows),
            before: sequences.map(({ before }) => before),
            idle,
            blockSize,
            H: K * G,
            K,
            D,
            seed,
            spec: window === undefined ? {} : { window },
          });
          expect(await check(c)).toBeLessThan(5e-6);
        }),
        { numRuns: 12, seed: 5 },
      );
    });

    test(`${kernel.name}: gradients by the step's rows`, async () => {
      const c = packedCase({ rows: [5, 3], before: [0, 0], cached: false, H: 4, K: 2, D: 8 });
      const { q, k, v, spec } = tensorsOf(device(), c);
      const weights = normal(77, c.data.q.length);
      const w = device().tensor(weights, { shape: q.shape as number[] });
      const found = gradients(kernel.attend(q, k, v, undefined, spec).mul(w).sum(), [q, k, v]);
      for (const [i, name] of (['q', 'k', 'v'] as const).entries()) {
        const got = await values(found[i]!);
        for (const place of [0, 9, 23]) {
          const moved = (by: number) => {
            const data = c.data[name].map((x, j) => (j === place ? x + by : x));
            return packedExpected({ ...c, data: { ...c.data, [name]: data } }).reduce(
              (s, x, j) => s + x * weights[j]!,
              0,
            );
          };
          expect(got[place]).toBeCloseTo((moved(1e-4) - moved(-1e-4)) / 2e-4, 3);
        }
      }
    });

    test(`${kernel.name}: one compiled step for every number of rows, sequences and keys`, async () => {
      const [H, K, D] = [4, 2, 8];
      const c = packedCase({ rows: [4, 2], before: [9, 3], H, K, D, blockSize: 16 });
      const slots = c.data.keys.length / (K * D);
      const { kv } = tensorsOf(device(), c);
      const step = compile(
        (x: {
          q: Tensor;
          k: Tensor;
          v: Tensor;
          segments: Tensor;
          positions: Tensor;
          table: Tensor;
          lengths: Tensor;
          span: Tensor;
        }) =>
          kernel.attend(
            x.q,
            x.k,
            x.v,
            {
              keys: kv!.keys,
              values: kv!.values,
              blockTable: x.table,
              lengths: x.lengths,
              blockSize: 16,
              maxLength: x.span.shape[0]!,
            },
            x,
          ),
        {
          device: device(),
          inputs: [
            {
              q: { shape: ['T', H, D] },
              k: { shape: ['T', K, D] },
              v: { shape: ['T', K, D] },
              segments: { shape: ['T'], dtype: 'i32' },
              positions: { shape: ['T'], dtype: 'i32' },
              table: { shape: ['B', 'N'], dtype: 'i32' },
              lengths: { shape: ['B'], dtype: 'i32' },
              span: { shape: ['S'] },
            },
          ],
          symbols: { T: 16, B: 4, N: 8, S: 128 },
        },
      );
      for (const [rows, before] of [
        [
          [4, 2],
          [9, 3],
        ],
        [[1], [12]],
        [
          [1, 1, 1],
          [2, 13, 5],
        ],
        [[3], [0]],
      ] as const) {
        const next = packedCase({ rows, before, H, K, D, blockSize: 16, slots, pool: c.data });
        const { data, sizes } = next;
        const out = await step({
          q: Float32Array.from(data.q),
          k: Float32Array.from(data.k),
          v: Float32Array.from(data.v),
          segments: Int32Array.from(data.segments),
          positions: Int32Array.from(data.positions),
          table: { data: Int32Array.from(data.blockTable), shape: [sizes.B, sizes.N] },
          lengths: Int32Array.from(data.lengths),
          span: new Float32Array(Math.max(1, ...data.lengths)),
        });
        expect(relativeError(await values(out), packedExpected(next))).toBeLessThan(2e-6);
      }
      step.dispose();
    });
  }

  test('refuses what does not fit', () => {
    const { q, k, v, kv, spec } = tensorsOf(device(), packedCase({ rows: [3], before: [4] }));
    const T = device().zeros([3, 5, 8]);
    for (const kernel of kernels) {
      expect(() => kernel.attend(T, k, v, kv, spec)).toThrow(/attend: .*multiple of its heads, got \[3, 5, 8\]/);
      expect(() => kernel.attend(q, k, v, kv, { ...spec, positions: spec.positions.cast('f32') })).toThrow(
        /must be i32/,
      );
      expect(() => kernel.attend(q, k, v, { ...kv!, lengths: device().zeros([2], 'i32') }, spec)).toThrow(
        /block table must be/,
      );
    }
  });
});
