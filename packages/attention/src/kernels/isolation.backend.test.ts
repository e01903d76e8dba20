import { type Device, gradients } from '@heddle/tensor';
import fc from 'fast-check';
import { expect } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { attention } from '../dense/attention.ts';
import type { AttentionSpec } from '../dense/attention-spec.ts';
import { normal, valuesOf } from '../testing/numbers.ts';
import { type PackedCase, packedCase } from '../testing/packed-case.ts';
import { packedTensors } from '../testing/packed-tensors.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';
import { decode, flash, paged } from './flash.ts';
import { naive } from './naive.ts';

/*
 * One sequence never changes another, and what is not attended to changes nothing: some sequences hold NaN and infinities, and so
 * does all that is not in use. The others' results are the same to the bit.
 */
const onGpu = backendName.startsWith('webgpu');
const spoils = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
/** 0 and -0 are the same: 0 times a value of another sign is the other. */
const unsigned = (lists: readonly number[][]) => lists.map((list) => list.map((value) => value + 0));

/** The numbers with some of the rows, each `width` long, spoiled. */
const spoil = (list: readonly number[], width: number, isSpoiled: (row: number) => boolean): number[] =>
  list.map((x, i) => (isSpoiled(Math.floor(i / width)) && i % 3 !== 1 ? spoils[(i % 5) % 3]! : x));

/** The case with `bad` sequences spoiled, rows that belong to nothing, and slots that are not in use. */
function spoiled(c: PackedCase, bad: ReadonlySet<number>): PackedCase {
  const { H, K, D, N, blockSize } = c.sizes;
  const { data } = c;
  const isBadRow = (row: number) => data.segments[row]! < 0 || bad.has(data.segments[row]!);
  const good = new Set<number>();
  data.lengths.forEach((length, b) => {
    for (let j = 0; j < length && !bad.has(b); j++)
      good.add(data.blockTable[b * N + Math.floor(j / blockSize)]! * blockSize + (j % blockSize));
  });
  const isBadSlot = (slot: number) => !good.has(slot);
  return {
    ...c,
    data: {
      ...data,
      q: spoil(data.q, H * D, isBadRow),
      k: spoil(data.k, K * D, isBadRow),
      v: spoil(data.v, K * D, isBadRow),
      keys: spoil(data.keys, K * D, isBadSlot),
      values: spoil(data.values, K * D, isBadSlot),
    },
  };
}

/** Rows of a flat list for which `keep` holds. */
const rowsOf = (list: readonly number[], width: number, keep: (row: number) => boolean) =>
  list.filter((_, i) => keep(Math.floor(i / width)));

conformance('one sequence never changes another', (device: () => Device) => {
  const side = fc.record({
    rows: fc.integer({ min: 0, max: 5 }),
    before: fc.integer({ min: 0, max: 40 }),
    bad: fc.boolean(),
  });
  const shape = fc.record({
    sequences: fc.array(side, { minLength: 2, maxLength: 4 }),
    idle: fc.integer({ min: 0, max: 2 }),
    blockSize: fc.constantFrom(1, 8, 16),
    seed: fc.nat(1000),
  });
  for (const kernel of onGpu ? [paged(), decode()] : [flash(), decode(), naive()])
    for (const [name, spec, functions] of [
      ['', {}, undefined],
      [', in a window with a softcap', { window: 9, softcap: 3 }, undefined],
      [', with a score function', {}, 'distances'],
    ] as const)
      for (const dtype of ['f32', 'f16'] as const)
        test(`${kernel.name}${name}, a cache in ${dtype}`, async (context) => {
          leaveToNode(context);
          if (compilesSlowly(device()) && (name !== '' || dtype === 'f16')) context.skip(slowHere);
          if (functions && dtype === 'f16') context.skip('functions of scores do not read the cache');
          await fc.assert(
            fc.asyncProperty(shape, async ({ sequences, idle, blockSize, seed }) => {
              fc.pre(sequences.some(({ rows }) => rows > 0) || idle > 0);
              const c = packedCase({
                rows: sequences.map(({ rows }) => rows),
                before: sequences.map(({ before }) => before),
                idle,
                blockSize,
                seed,
                dtype,
                spec,
                ...(functions && { functions }),
              });
              const bad = new Set(sequences.flatMap((own, b) => (own.bad ? [b] : [])));
              const [clean, got] = unsigned(
                await valuesOf(
                  device(),
                  [c, spoiled(c, bad)].map((from) => {
                    const { q, k, v, kv, spec: own } = packedTensors(device(), from);
                    return kernel.attend(q, k, v, kv, own);
                  }),
                ),
              ) as [number[], number[]];
              const width = c.sizes.H * c.sizes.D;
              const others = (list: readonly number[]) => rowsOf(list, width, (t) => !bad.has(c.data.segments[t]!));
              expect(others(got)).toEqual(others(clean));
              // and what is spoiled shows it
              const own = rowsOf(got, width, (t) => bad.has(c.data.segments[t]!));
              const shown = Array.from({ length: own.length / width }, (_, t) =>
                own.slice(t * width, (t + 1) * width).some((x) => !Number.isFinite(x)),
              );
              expect(shown.every((x) => x)).toBe(true);
            }),
            runs(onGpu ? 15 : 12, 11),
          );
        }, 400_000);

  for (const kernel of onGpu ? [flash()] : [flash(), naive()])
    test(`${kernel.name}: gradients`, async (context) => {
      if (compilesSlowly(device())) context.skip(slowHere);
      const c = packedCase({ rows: [5, 3, 4], before: [0, 0, 0], cached: false, idle: 1, H: 4, K: 2, D: 8 });
      const bad = new Set([1]);
      const run = async (from: PackedCase) => {
        const { q, k, v, spec } = packedTensors(device(), from);
        const out = kernel.attend(q, k, v, undefined, spec);
        const { T, H, D } = c.sizes;
        const upstream = device().tensor(Float32Array.from(normal(5, T * H * D)), { shape: [T, H, D] });
        return unsigned(await valuesOf(device(), gradients(out.mul(upstream).sum(), [q, k, v!])));
      };
      const [clean, got] = [await run(c), await run(spoiled(c, bad))];
      for (const i of [0, 1, 2]) {
        const width = [4, 2, 2][i]! * 8;
        const others = (list: readonly number[]) =>
          rowsOf(list, width, (t) => c.data.segments[t]! >= 0 && !bad.has(c.data.segments[t]!));
        expect(others(got[i]!)).toEqual(others(clean[i]!));
      }
    });
});

conformance('what is not attended to changes nothing', (device: () => Device) => {
  // keys of more than a tile on a GPU
  const [B, L, H, K, D] = [2, onGpu ? 70 : 21, 4, 2, 16];
  const third = Math.ceil(L / 3);
  /** A spec, and which pairs of query and key of a sequence are attended to. */
  const rules: readonly (readonly [
    string,
    (device: Device) => AttentionSpec,
    (b: number, q: number, k: number) => boolean,
  ])[] = [
    ['causal', () => ({ causal: true }), (_, q, k) => k <= q],
    ['a causal window', () => ({ causal: true, window: 5 }), (_, q, k) => k <= q && q - k < 5],
    [
      'key lengths',
      (own) => ({
        keyLengths: own.tensor(Int32Array.of(third, L - 9)),
        softcap: 4,
        sinks: own.tensor(new Float32Array(H)),
      }),
      (b, _, k) => k < [third, L - 9][b]!,
    ],
    [
      'segments',
      (own) => ({
        segments: own.tensor(
          Int32Array.from({ length: B * L }, (_, i) => Math.floor((i % L) / third)),
          { shape: [B, L] },
        ),
      }),
      (_, q, k) => Math.floor(q / third) === Math.floor(k / third),
    ],
    [
      'a mask',
      (own) => ({
        mask: own.tensor(
          Uint8Array.from({ length: L * L }, (_, i) => Number((i % L) % 3 !== Math.floor(i / L) % 3)),
          { shape: [L, L], dtype: 'bool' },
        ),
        alibi: true,
      }),
      (_, q, k) => k % 3 !== q % 3,
    ],
    [
      'a mask function with a score function',
      () => ({
        maskMod: ({ q, k }) => k.lessEqual(q),
        scoreMod: (score, { q, k }) => score.add(q.sub(k).cast('f32').mul(0.1)),
      }),
      (_, q, k) => k <= q,
    ],
    [
      'a bias of minus infinity',
      (own) => ({
        bias: own.tensor(
          Float32Array.from({ length: L * L }, (_, i) => (i % L <= Math.floor(i / L) ? 0.5 : -Infinity)),
          {
            shape: [L, L],
          },
        ),
      }),
      (_, q, k) => k <= q,
    ],
  ];
  for (const [name, spec, attends] of rules)
    for (const dtype of ['f32', 'f16'] as const)
      test(`${name}, in ${dtype}`, async (context) => {
        leaveToNode(context);
        if (onGpu && !['causal', 'segments'].includes(name)) context.skip(slowHere);
        if (compilesSlowly(device()) && dtype === 'f16') context.skip(slowHere);
        const make = (seed: number, heads: number, isBad: (b: number, l: number) => boolean) => {
          const list = normal(seed, B * L * heads * D);
          const own = spoil(list, heads * D, (row) => isBad(Math.floor(row / L), row % L));
          return device().tensor(Float64Array.from(own), { shape: [B, L, heads, D], dtype });
        };
        const nowhere = () => false;
        const run = async (bad: (b: number, l: number) => boolean) => {
          const [q, k, v] = [make(1, H, bad), make(2, K, bad), make(3, K, bad)] as const;
          const out = attention(q, k, v, spec(device()));
          const weights = make(4, H, nowhere).cast('f32');
          const found = gradients(out.cast('f32').mul(weights).sum(), [q, k, v]);
          return unsigned(await valuesOf(device(), [out, ...found]));
        };
        const clean = await run(nowhere);
        // positions that hold what is not finite: in the first sequence, and the whole of it
        for (const bad of [
          (b: number, l: number) => b === 0 && [third + 1, third + 2, L - 6].includes(l),
          (b: number) => b === 0,
          (_: number, l: number) => l === L - 1,
        ]) {
          const got = await run(bad);
          const places = Array.from({ length: L }, (_, i) => i);
          /** Queries that meet something: they hold it themselves, or attend to a key that does. */
          const touched = (b: number, q: number) => bad(b, q) || places.some((k) => bad(b, k) && attends(b, q, k));
          const touchedKey = (b: number, k: number) =>
            bad(b, k) || places.some((q) => touched(b, q) && attends(b, q, k));
          for (const i of [0, 1, 2, 3]) {
            const others = (list: readonly number[]) =>
              rowsOf(list, (i < 2 ? H : K) * D, (row) => !(i < 2 ? touched : touchedKey)(Math.floor(row / L), row % L));
            expect(others(got[i]!), ['out', 'dq', 'dk', 'dv'][i]!).toEqual(others(clean[i]!));
          }
          const own = rowsOf(got[0]!, H * D, (row) => {
            const [b, q] = [Math.floor(row / L), row % L];
            return places.some((k) => bad(b, k) && attends(b, q, k));
          });
          const shown = Array.from({ length: own.length / (H * D) }, (_, t) =>
            own.slice(t * H * D, (t + 1) * H * D).some((x) => !Number.isFinite(x)),
          );
          expect(shown.every((x) => x)).toBe(true);
        }
      }, 400_000);
});
