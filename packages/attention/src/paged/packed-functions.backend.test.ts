import { compile, type Device, gradients, symbolicDim, type Tensor, take } from '@heddle/tensor';
import fc from 'fast-check';
import { expect } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import type { AttendSpec, AttentionKernel } from '../kernels/attention-kernel.ts';
import { decode, flash, paged } from '../kernels/flash.ts';
import { naive } from '../kernels/naive.ts';
import { relativeError } from '../testing/numbers.ts';
import { type PackedCase, packedCase, packedExpected, packedExpectedWithLse } from '../testing/packed-case.ts';
import { packedTensors } from '../testing/packed-tensors.ts';
import { type ScorePairName, scorePairs } from '../testing/score-pairs.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';
import { dequantizeRows, quantizeRows } from './quantized-pages.ts';

const onGpu = backendName.startsWith('webgpu');
const values = async (x: Tensor) => Array.from(await x.cast('f32').data());

conformance('score and mask functions over a cache', (device: () => Device) => {
  const attend = (kernel: AttentionKernel, c: PackedCase, more: Partial<AttendSpec> = {}) => {
    const { q, k, v, kv, spec } = packedTensors(device(), c);
    return kernel.attend(q, k, v, kv, { ...spec, ...more });
  };

  // these are part of a kernel's text, so a GPU compiles each once
  const texts: readonly (readonly [AttentionKernel, ScorePairName, PackedCase['spec']])[] = [
    [paged(), 'captured', { softcap: 2 }],
    [decode(), 'captured', { window: 9, keepFirst: 2 }],
    ...(onGpu ? [] : ([[naive(), 'hiding', { window: 5 }]] as const)),
  ];
  for (const [kernel, functions, spec] of texts)
    test(`${kernel.name}: random sizes, ${functions}`, async (context) => {
      leaveToNode(context);
      if (compilesSlowly(device())) context.skip(slowHere);
      const side = fc.record({ rows: fc.integer({ min: 0, max: 5 }), before: fc.integer({ min: 0, max: 40 }) });
      const shape = fc.record({
        sequences: fc.array(side, { minLength: 1, maxLength: 4 }),
        idle: fc.integer({ min: 0, max: 2 }),
        blockSize: fc.constantFrom(4, 16),
        seed: fc.nat(1000),
      });
      await fc.assert(
        fc.asyncProperty(shape, async ({ sequences, seed, ...others }) => {
          fc.pre(sequences.some(({ rows }) => rows > 0) || others.idle > 0);
          const [rows, before] = [sequences.map((each) => each.rows), sequences.map((each) => each.before)];
          const c = packedCase({ rows, before, seed, functions, spec, sinks: true, ...others });
          const { q, k, v, kv, spec: own } = packedTensors(device(), c);
          const { out, lse } = kernel.attendWithLse!(q, k, v, kv, own);
          const expected = packedExpectedWithLse(c);
          expect(relativeError(await values(out), expected.out)).toBeLessThan(5e-6);
          expect(relativeError(await values(lse), expected.lse)).toBeLessThan(5e-6);
        }),
        runs(8, 3),
      );
    });

  for (const kernel of onGpu ? [paged(), decode()] : [flash(), naive()])
    test(`${kernel.name}: what a function hides from a head does not reach it, whatever it is`, async (context) => {
      leaveToNode(context);
      if (compilesSlowly(device())) context.skip(slowHere);
      const c = packedCase({ rows: [5, 1], before: [12, 30], functions: 'hiding' });
      const { H, K, D, N, blockSize } = c.sizes;
      // key 6 of the first sequence, which heads 0 (a score of minus infinity) and 3 (masked) do not see
      const slot = c.data.blockTable[0 * N]! * blockSize + 6;
      const spoil = (list: readonly number[]) =>
        list.map((x, i) => (Math.floor(i / (K * D)) === slot ? [Number.NaN, Infinity, -Infinity][i % 3]! : x));
      const spoiled = { ...c, data: { ...c.data, keys: spoil(c.data.keys), values: spoil(c.data.values) } };
      const [clean, got] = [await values(attend(kernel, c)), await values(attend(kernel, spoiled))];
      const { score, mask } = scorePairs.hiding;
      c.data.segments.forEach((b, t) => {
        for (let h = 0; h < H; h++) {
          const place = { b, h, q: c.data.positions[t]!, k: 6 };
          const sees = b === 0 && mask!(place) && score!(0, place) === 0;
          const at = (list: readonly number[]) => list.slice((t * H + h) * D, (t * H + h + 1) * D).map((x) => x + 0);
          if (sees)
            expect(
              at(got).some((x) => !Number.isFinite(x)),
              `row ${t}, head ${h}`,
            ).toBe(true);
          else expect(at(got), `row ${t}, head ${h}`).toEqual(at(clean));
        }
      });
    });

  test('over quantised pages they are those over the floats that these stand for', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const c = packedCase({ rows: [3, 1], before: [33, 7], blockSize: 16, functions: 'captured' });
    const { q, k, v, kv, spec } = packedTensors(device(), c);
    const [keys, ofKeys] = [quantizeRows(kv!.keys, 8), quantizeRows(kv!.values!, 8)];
    const quantized = { bits: 8, keyScales: keys.scales, valueScales: ofKeys.scales } as const;
    const floats = { ...kv!, keys: dequantizeRows(keys, 8), values: dequantizeRows(ofKeys, 8) };
    const expected = await values(naive().attend(q, k, v, floats, spec));
    const view = { ...kv!, keys: keys.words, values: ofKeys.words, quantized };
    expect(relativeError(await values(flash().attend(q, k, v, view, spec)), expected)).toBeLessThan(5e-6);
  });

  test('one compiled step for every number of rows, sequences and keys', async () => {
    const sizes = { H: 4, K: 2, D: 16, blockSize: 16, slots: 256 };
    const c = packedCase({ rows: [1], before: [1], ...sizes });
    const kv = packedTensors(device(), c).kv!;
    const ints = (...shape: (number | string)[]) => ({ shape, dtype: 'i32' }) as const;
    const floats = (...shape: (number | string)[]) => ({ shape });
    const step = compile(
      (x: Record<'q' | 'k' | 'v' | 'segments' | 'positions' | 'blockTable' | 'lengths' | 'limits', Tensor>) => {
        const view = { ...kv, blockTable: x.blockTable, lengths: x.lengths, maxLength: symbolicDim('S', 64) };
        return flash().attend(x.q, x.k, x.v, view, {
          ...{ segments: x.segments, positions: x.positions },
          // tensors with a value for each sequence and each row, whose number the step does not know
          maskMod: ({ b, q, k }) => k.greaterEqual(take(x.limits, b.maximum(0))).or(k.equal(q)),
          scoreMod: (score) => score.add(x.positions.cast('f32').mul(0.01).reshape([1, 1, x.positions.shape[0]!, 1])),
        });
      },
      {
        device: device(),
        inputs: [
          {
            ...{ q: floats('T', 4, 16), k: floats('T', 2, 16), v: floats('T', 2, 16), segments: ints('T') },
            ...{ positions: ints('T'), blockTable: ints('B', 'N'), lengths: ints('B'), limits: ints('B') },
          },
        ],
        symbols: { T: 16, B: 4, N: 8, S: 64 },
      },
    );
    for (const { rows, before } of [
      { rows: [4, 2], before: [9, 3] },
      { rows: [1], before: [12] },
      { rows: [9, 1, 1], before: [2, 13, 5] },
    ]) {
      const next = packedCase({ rows, before, ...sizes, pool: c.data });
      const { data, sizes: own } = next;
      const limits = before.map((length) => Math.floor(length / 2));
      const out = await step.run(
        [
          {
            ...{ q: Float32Array.from(data.q), k: Float32Array.from(data.k), v: Float32Array.from(data.v) },
            ...{ segments: Int32Array.from(data.segments), positions: Int32Array.from(data.positions) },
            blockTable: { data: Int32Array.from(data.blockTable), shape: [own.B, own.N] },
            ...{ lengths: Int32Array.from(data.lengths), limits: Int32Array.from(limits) },
          },
        ],
        { symbols: { S: Math.max(...before) } },
      );
      // the same for all scores of a row changes nothing
      const expected = packedExpected({ ...next, mask: ({ b, q, k }) => k >= limits[b]! || k === q });
      expect(relativeError(await values(out), expected), `${rows}`).toBeLessThan(5e-6);
    }
    step.dispose();
  });

  test('gradients, by what a function captured too', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const c = packedCase({ rows: [5, 3], before: [0, 0], cached: false });
    const { q, k, v, spec } = packedTensors(device(), c);
    const bias = device().tensor(Float32Array.of(0.5, -1, 0.25, 2));
    const scoreMod: AttendSpec['scoreMod'] = (score, place) => score.mul(take(bias, place.h));
    const wrt = [q, k, v!, bias];
    const of = (kernel: AttentionKernel) =>
      gradients(
        kernel
          .attend(q, k, v, undefined, { ...spec, scoreMod })
          .mul(q)
          .sum(),
        wrt,
      );
    const [got, expected] = [of(flash()), of(naive())];
    for (const i of wrt.keys())
      expect(relativeError(await values(got[i]!), await values(expected[i]!)), `${i}`).toBeLessThan(2e-5);
    // the gradient with respect to a head's factor is that of all its scores: by finite differences
    const sum = (by: number) => {
      const moved = packedExpected({ ...c, score: (score, { h }) => score * ([0.5, -1 + by, 0.25, 2] as const)[h]! });
      return moved.reduce((total, x, i) => total + x * c.data.q[i]!, 0);
    };
    expect((await values(got[3]!))[1]).toBeCloseTo((sum(1e-4) - sum(-1e-4)) / 2e-4, 3);
  });

  test('refuses functions that give what is no score or mask', () => {
    const c = packedCase({ rows: [3], before: [4] });
    for (const kernel of [flash(), naive()]) {
      const given = (more: object) => () => attend(kernel, c, more);
      expect(given({ scoreMod: 3 })).toThrow(/attend: scoreMod must be a function, got the number 3/);
      expect(given({ scoreMod: () => undefined })).toThrow(/attend: what scoreMod gives must be a tensor/);
      expect(given({ scoreMod: ({ shape }: Tensor) => device().zeros([9, ...(shape as number[])]) })).toThrow(
        /attend: scoreMod must give what broadcasts to \[1, 4, 3, \d+\]/,
      );
      expect(given({ maskMod: ({ k }: { k: Tensor }) => k })).toThrow(/attend: maskMod must give bool, got i32/);
    }
  });
});
