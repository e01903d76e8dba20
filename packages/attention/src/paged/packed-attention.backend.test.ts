import { type CompiledFunction, compile, type Device, symbolicDim, type Tensor } from '@heddle/tensor';
import fc from 'fast-check';
import { expect } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { decode, flash, paged } from '../kernels/flash.ts';
import { naive } from '../kernels/naive.ts';
import { kernelContract } from '../testing/kernel-contract.ts';
import { relativeError } from '../testing/numbers.ts';
import { packedCase, packedExpected } from '../testing/packed-case.ts';
import { packedTensors } from '../testing/packed-tensors.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';

const values = async (x: Tensor) => Array.from(await x.cast('f32').data());

const onGpu = backendName.startsWith('webgpu');
/** On a GPU `flash` chooses between the kernels of the others, and a software driver takes seconds to compile one. */
const moreThanEnough = [
  'a score function',
  'score and mask functions with tensors of their own, over all that a cache and a spec can have',
  'one row after 300 keys',
  'grouped heads over pages of 4',
  'softcap and scale',
  'no cache, a window',
];
const enoughOnGpu = ['one row after 1100 keys', 'chunks and single rows together', 'gradients'];

type Rows = Record<'q' | 'k' | 'v' | 'segments' | 'positions' | 'keys' | 'values' | 'blockTable' | 'lengths', Tensor>;

/** A step of B rows over a cache of B sequences, up to 64 tokens of each. */
function compileRows(
  device: Device,
  B: number,
  { H, K, D, blockSize, slots }: Record<'H' | 'K' | 'D' | 'blockSize' | 'slots', number>,
): CompiledFunction<[Rows], Tensor> {
  const ints = (...shape: (number | string)[]) => ({ shape, dtype: 'i32' }) as const;
  const floats = (...shape: number[]) => ({ shape });
  const maxLength = symbolicDim('S', 64);
  return compile(
    ({ q, k, v, segments, positions, ...kv }: Rows) =>
      decode().attend(q, k, v, { ...kv, blockSize, maxLength }, { segments, positions }),
    {
      device,
      inputs: [
        {
          q: floats(B, H, D),
          k: floats(B, K, D),
          v: floats(B, K, D),
          segments: ints(B),
          positions: ints(B),
          keys: floats(slots, K, D),
          values: floats(slots, K, D),
          blockTable: ints(B, 'N'),
          lengths: ints(B),
        },
      ],
      symbols: { N: 11, S: 64 },
    },
  );
}

conformance('packed attention', (device: () => Device) => {
  for (const kernel of [flash(), paged(), decode(), naive()])
    for (const { name, run } of kernelContract(kernel, device))
      if (!onGpu || kernel.name === 'flash' || enoughOnGpu.includes(name))
        test(`${kernel.name}: ${name}`, async (context) => {
          if (moreThanEnough.includes(name) && compilesSlowly(device())) context.skip(slowHere);
          const reason = await run();
          if (reason !== undefined) context.skip(reason);
        });

  for (const kernel of onGpu ? [flash()] : [flash(), naive()])
    test(`${kernel.name}: random sizes`, async () => {
      const side = fc.record({ rows: fc.integer({ min: 0, max: 9 }), before: fc.integer({ min: 0, max: 40 }) });
      const shape = fc.record({
        sequences: fc.array(side, { minLength: 1, maxLength: 4 }),
        idle: fc.integer({ min: 0, max: 2 }),
        blockSize: fc.constantFrom(1, 4, 16, 64),
        // these are part of a kernel's text
        K: onGpu ? fc.constant(2) : fc.integer({ min: 1, max: 3 }),
        G: onGpu ? fc.constant(2) : fc.integer({ min: 1, max: 4 }),
        D: onGpu ? fc.constant(16) : fc.constantFrom(8, 16, 20, 64),
        window: onGpu ? fc.constant(undefined) : fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }),
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
          const { q, k, v, kv, spec } = packedTensors(device(), c);
          const got = await values(kernel.attend(q, k, v, kv, spec));
          expect(relativeError(got, packedExpected(c))).toBeLessThan(5e-6);
        }),
        runs(20, 5),
      );
    });

  // chunks of blocks of 6 have 2 tokens, and a block of 64 holds a sequence
  for (const blockSize of onGpu ? [16] : [16, 6, 64])
    for (const B of [1, 3])
      test(`one compiled step for a row of each of ${B}, in blocks of ${blockSize}, whatever the lengths`, async () => {
        const sizes = { H: 4, K: 2, D: 16, blockSize, slots: (3 * Math.ceil(64 / blockSize) + 1) * blockSize };
        const step = compileRows(device(), B, sizes);
        for (const longest of [0, 1, 15, 16, 17, 29, 64])
          for (const idle of [0, 1]) {
            const before = Array.from({ length: B }, (_, b) => Math.floor((longest * (B - b)) / B));
            const rows = before.map((_, b) => (b < idle ? 0 : 1));
            const c = packedCase({ rows, before, idle, seed: longest, ...sizes });
            const given = packedTensors(device(), c);
            const out = await step.run(
              [{ ...given, v: given.v!, ...given.kv!, values: given.kv!.values!, ...given.spec }],
              {
                symbols: { S: Math.max(1, longest) },
              },
            );
            expect(relativeError(await values(out), packedExpected(c)), `${before}`).toBeLessThan(5e-6);
          }
        step.dispose();
      });

  test('refuses what does not fit', () => {
    const { q, k, v, kv, spec } = packedTensors(device(), packedCase({ rows: [3], before: [4] }));
    const fiveHeads = device().zeros([3, 5, 16]);
    for (const kernel of [flash(), naive()]) {
      expect(() => kernel.attend(fiveHeads, k, v, kv, spec)).toThrow(
        /attend: .*multiple of its heads, got \[3, 5, 16\]/,
      );
      expect(() => kernel.attend(q, k, v, kv, { ...spec, positions: spec.positions.cast('f32') })).toThrow(
        /must be i32/,
      );
      expect(() => kernel.attend(q, k, v, kv, { ...spec, keepFirst: 2 })).toThrow(/attend: keepFirst needs a window/);
      const lengths = device().zeros([2], 'i32');
      expect(() => kernel.attend(q, k, v, { ...kv!, lengths }, spec)).toThrow(/block table must be/);
    }
  });
});
