import { type Device, gradients, type Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import fc from 'fast-check';
import { expect } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { normal, relativeError } from '../testing/numbers.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';
import { attentionWithLse } from './attention.ts';
import type { AttentionSpec } from './attention-spec.ts';
import { lowestScore } from './mask-value.ts';

interface Sizes {
  readonly B: number;
  readonly L: number;
  readonly S: number;
  readonly K: number;
  readonly G: number;
  readonly D: number;
}

/** What a spec has; tensors are made for it. Part of a kernel's text, as K, G and D are. */
interface Parts {
  readonly causal: boolean;
  readonly window: number | undefined;
  readonly keepFirst: number | undefined;
  readonly softcap: number | undefined;
  readonly dropout: number | undefined;
  readonly alibi: boolean;
  readonly sinks: boolean;
  readonly keyLengths: boolean;
  readonly mask: boolean;
  readonly bias: boolean;
  readonly segments: boolean;
}

const none: Parts = {
  causal: false,
  window: undefined,
  keepFirst: undefined,
  softcap: undefined,
  dropout: undefined,
  alibi: false,
  sinks: false,
  keyLengths: false,
  mask: false,
  bias: false,
  segments: false,
};

/** All that a device gives for a spec: output, log-sum-exp, and the gradients with respect to every float tensor. */
async function compute(device: Device, { B, L, S, K, G, D }: Sizes, parts: Parts, seed: number): Promise<number[][]> {
  const H = K * G;
  const numbers = (stream: number, shape: readonly number[]) => {
    const size = shape.reduce((a, b) => a * b);
    return device.tensor(Float32Array.from(normal(64 * seed + stream, size)), { shape });
  };
  const ints = (shape: readonly number[], value: (i: number) => number) =>
    device.tensor(
      Int32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => value(i)),
      { shape },
    );
  const draw = (i: number) => Math.imul(i + 1, 2654435761 + 2 * seed) >>> 16;
  const floats: Record<string, Tensor> = {
    ...(parts.sinks ? { sinks: numbers(4, [H]) } : {}),
    ...(parts.bias ? { bias: numbers(5, [H, 1, S]) } : {}),
  };
  const { causal, window, keepFirst, softcap, dropout, alibi } = parts;
  const spec = {
    causal,
    window,
    keepFirst: window === undefined ? undefined : keepFirst,
    softcap,
    alibi,
    ...floats,
    keyLengths: parts.keyLengths ? ints([B], (b) => draw(b) % (S + 1)) : undefined,
    mask: parts.mask ? ints([B, 1, L, S], (i) => draw(i) % 3).greater(0) : undefined,
    segments: parts.segments ? ints([B, S], (i) => Math.floor((i % S) / 7) - 1) : undefined,
    dropout: dropout === undefined ? undefined : { p: dropout, seed },
  };
  const given = Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined)) as AttentionSpec;
  const inputs = [numbers(1, [B, L, H, D]), numbers(2, [B, S, K, D]), numbers(3, [B, S, K, D])] as const;
  const { out, lse } = attentionWithLse(...inputs, given);
  // the log-sum-exp of what sees nothing is constant
  const loss = out
    .mul(numbers(6, [B, L, H, D]))
    .sum()
    .add(
      lse
        .maximum(lowestScore / 2)
        .mul(0.3)
        .sum(),
    );
  // the gradient with respect to a bias is a decomposition, which a GPU compiles for each shape anew
  const { bias, ...byKernels } = floats;
  const others = bias && !backendName.startsWith('webgpu') ? floats : byKernels;
  const found = gradients(loss, [...inputs, ...Object.values(others)]);
  const all = [out, lse.maximum(-1e3), ...found];
  await device.realize(all);
  const values = await Promise.all(all.map(async (x) => Array.from(await x.data())));
  for (const x of [...all, ...inputs, ...Object.values(floats)]) x.dispose();
  return values;
}

const extent = fc.record({
  B: fc.integer({ min: 1, max: 2 }),
  L: fc.integer({ min: 1, max: 24 }),
  S: fc.integer({ min: 1, max: 40 }),
});
const heads = { K: fc.integer({ min: 1, max: 2 }), G: fc.integer({ min: 1, max: 3 }), D: fc.constantFrom(16, 20, 32) };
const maybe = (value: fc.Arbitrary<number>) => fc.option(value, { nil: undefined, freq: 2 });
const anyParts: fc.Arbitrary<Parts> = fc.record({
  causal: fc.boolean(),
  window: maybe(fc.integer({ min: 1, max: 40 })),
  keepFirst: maybe(fc.integer({ min: 1, max: 3 })),
  softcap: maybe(fc.constantFrom(1, 7)),
  dropout: maybe(fc.constantFrom(0.1, 0.5)),
  alibi: fc.boolean(),
  sinks: fc.boolean(),
  keyLengths: fc.boolean(),
  mask: fc.boolean(),
  bias: fc.boolean(),
  segments: fc.boolean(),
});

/** On a GPU a spec is a kernel to compile: few of them, with all that they can have, over many shapes. */
const kernels: Readonly<Record<string, Parts & Pick<Sizes, 'K' | 'G' | 'D'>>> = {
  'all that changes scores': {
    ...none,
    causal: true,
    window: 23,
    keepFirst: 2,
    softcap: 5,
    alibi: true,
    sinks: true,
    keyLengths: true,
    bias: true,
    K: 1,
    G: 3,
    D: 16,
  },
  'packed, masked and dropped': { ...none, segments: true, mask: true, dropout: 0.3, K: 2, G: 2, D: 20 },
};
const extremes: readonly Pick<Sizes, 'B' | 'L' | 'S'>[] = [
  { B: 1, L: 1, S: 1 },
  { B: 2, L: 1, S: 70 },
  { B: 1, L: 67, S: 1 },
  { B: 1, L: 65, S: 97 },
];

conformance('random attention', (device: () => Device) => {
  if (backendName === 'reference') {
    test('refuses nothing: what other devices are compared with is finite, and 0 where nothing is seen', async () => {
      for (const [i, sizes] of [...extremes.slice(0, 3), { B: 1, L: 15, S: 21 }].entries())
        for (const parts of Object.values(kernels)) {
          const values = await compute(device(), { ...sizes, ...parts }, parts, i);
          expect(values.flat().every(Number.isFinite)).toBe(true);
        }
      const [out, lse, ...found] = await compute(
        device(),
        { B: 1, L: 3, S: 6, K: 1, G: 1, D: 16 },
        { ...none, segments: true },
        1,
      );
      expect([out!, ...found].flat().every((x) => x === 0) && lse!.every((x) => x === -1e3)).toBe(true);
    });
    return;
  }

  async function compare(reference: Device, sizes: Sizes, parts: Parts, seed: number): Promise<void> {
    const [got, expected] = [await compute(device(), sizes, parts, seed), await compute(reference, sizes, parts, seed)];
    for (const [i, values] of expected.entries()) {
      const error = relativeError(got[i]!, values);
      expect(error, `value ${i} of ${JSON.stringify({ ...sizes, ...parts })}`).toBeLessThan(2e-5);
      // gradients of rows without keys are exactly 0
      if (values.every((x) => x === 0)) expect(got[i]!.every((x) => x === 0)).toBe(true);
    }
  }

  if (backendName === 'onnx')
    test('any spec of any shape', async () => {
      const reference = await openReference();
      const sizes = extent.chain((own) =>
        fc.record({ B: fc.constant(own.B), L: fc.constant(own.L), S: fc.constant(own.S), ...heads }),
      );
      await fc.assert(
        fc.asyncProperty(sizes, anyParts, fc.nat(1000), (s, parts, seed) => compare(reference, s, parts, seed)),
        { ...runs(40, 3), endOnFailure: true },
      );
      await reference.dispose();
    }, 240_000);
  else
    for (const [name, parts] of Object.entries(kernels))
      test(`${name}: any shape`, async (context) => {
        leaveToNode(context);
        const slow = compilesSlowly(device());
        if (slow && name !== 'all that changes scores') context.skip(slowHere);
        const reference = await openReference();
        for (const [i, sizes] of extremes.entries()) await compare(reference, { ...sizes, ...parts }, parts, i);
        await fc.assert(
          fc.asyncProperty(extent, fc.nat(1000), (sizes, seed) =>
            compare(reference, { ...sizes, ...parts }, parts, seed),
          ),
          { ...runs(slow ? 3 : 60, 3), endOnFailure: true },
        );
        await reference.dispose();
      }, 240_000);
});
