import {
  type Device,
  gradients,
  type KernelCall,
  type KernelNames,
  type Tensor,
  take,
  type WebGpuCapabilities,
} from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { describe, expect, test } from 'vitest';
import type { AttendSpec } from '../../kernels/attention-kernel.ts';
import { flash } from '../../kernels/flash.ts';
import { attention, attentionWithMass } from '../attention.ts';
import type { AttentionSpec } from '../attention-spec.ts';

const matrices = [{ M: 16, N: 16, K: 16, componentType: 'f16', resultComponentType: 'f32' }];
const plain: WebGpuCapabilities = {
  ...{ shaderF16: true, subgroups: false, subgroupId: false, subgroupMinSize: 4, subgroupMaxSize: 128 },
  ...{ subgroupMatrices: [], maxWorkgroupStorageBytes: 16_384, maxInvocations: 256, maxStorageBuffers: 16 },
  maxBindingBytes: 2 ** 27,
};
const rich: WebGpuCapabilities = {
  ...{ ...plain, subgroups: true, subgroupId: true, subgroupMinSize: 32, subgroupMaxSize: 32 },
  ...{ subgroupMatrices: matrices, maxWorkgroupStorageBytes: 49_152 },
};

/** The kernels that what leads to a tensor has. */
function kernelsOf(root: Tensor, capabilities: WebGpuCapabilities): KernelCall[] {
  const seen = new Set<object>();
  const visit = ({ node }: Tensor): KernelCall[] => {
    if (seen.has(node)) return [];
    seen.add(node);
    const lowering = node.op.lower?.webgpu;
    const isOwn = lowering && 'kernels' in lowering && /attention/i.test(node.op.name);
    const { inputs, outputs, attributes } = node;
    const context = {
      ...{ node, attributes, inputs, outputs, capabilities, companions: [], readable: () => false },
      ...{ bound: (dim: unknown) => Number(dim), choose: (_: readonly string[], preferred: string) => preferred },
    };
    const isSupported = isOwn && (lowering.supports?.(node, capabilities) ?? true);
    return [...(isSupported ? lowering.kernels(context) : []), ...inputs.flatMap(visit)];
  };
  return visit(root);
}

const under = (prefix: string, suffix: string) =>
  new Proxy<Record<string, string>>({}, { get: (_, name) => `${prefix}${String(name)}${suffix}` });
/** Names that nobody would guess. */
const given: KernelNames = {
  ...{ at: under('zz_', '_at'), at2: under('zz_', '_at2'), at4: under('zz_', '_at4'), array: under('zz_', '') },
  ...{ set: under('zz_', '_set'), set2: under('zz_', '_set2'), set4: under('zz_', '_set4') },
  ...{ size: under('zz.', ''), shared: under('zz_shared_', ''), own: under('zz_own_', '') },
  prelude: under('zz_prelude_', '') as KernelNames['prelude'],
};

/** Where a kernel's text uses a buffer, a size or memory of the workgroup by another name than the one it is given. */
function guesses({ buffers, workgroup = {}, write }: KernelCall): string[] {
  const { functions = '', main } = write(given);
  const names = [...buffers.map(({ name }) => name), ...Object.keys(workgroup)].join('|');
  const own = new RegExp(`(?<![\\w.])(?:${names})(?:_(?:at|set)[24]?\\(|\\[)|&(?:${names})\\b|\\bparams\\b`, 'g');
  // pages have functions of the kernel's own
  return [...`${functions}\n${main}`.matchAll(own)]
    .map(([found]) => found)
    .filter((found) => !/^(keys|values)_at4/.test(found));
}

const device: Device = await openReference();

describe('kernels of attention', () => {
  const zeros = (shape: readonly number[], dtype: 'f32' | 'f16' | 'u32' | 'i32' = 'f16') =>
    device.tensor(new Float64Array(shape.reduce((a, b) => a * b)), { shape, dtype });
  const [q, k, v] = [zeros([1, 40, 4, 64]), zeros([1, 50, 2, 64]), zeros([1, 50, 2, 64])];
  const bias = zeros([4, 40, 50], 'f32');
  const specs: Readonly<Record<string, AttentionSpec>> = {
    plain: {},
    'all that is masked': {
      ...{ causal: true, window: 9, keyLengths: zeros([1], 'i32'), segments: zeros([1, 50], 'i32') },
      maskMod: (place) => place.k.lessEqual(place.q),
    },
    'all that changes scores': {
      ...{ softcap: 3, alibi: true, sinks: zeros([4], 'f32'), bias, dropout: { p: 0.2, seed: 1 } },
      scoreMod: (score, place) => score.mul(place.h.cast('f32')),
    },
  };
  for (const [adapter, capabilities] of Object.entries({ plain, rich })) {
    test.each(Object.entries(specs))(`take every name from what they are given: ${adapter}, %s`, (_, spec) => {
      const { dropout: __, ...kept } = spec;
      const roots = [
        ...gradients(attention(q, k, v, spec).cast('f32').sum(), [q, k, v, ...(spec.bias ? [bias] : [])]),
        ...gradients(attention(q, k, v, kept).cast('f32').sum(), [q]),
        Object.values(attentionWithMass(q, k, v, kept)).flat()[0] as Tensor,
      ];
      const kernels = roots.flatMap((root) => kernelsOf(root, capabilities));
      expect(kernels.length).toBeGreaterThan(4);
      for (const kernel of kernels) expect(guesses(kernel), kernel.label).toEqual([]);
    });

    test(`take every name from what they are given: ${adapter}, packed rows`, () => {
      const slopes = zeros([4], 'f32');
      const functions: Pick<AttendSpec, 'scoreMod' | 'maskMod'> = {
        scoreMod: (score, { h, q, k }) => score.sub(take(slopes, h).mul(q.sub(k).cast('f32'))),
        maskMod: ({ b, k }) => k.greater(b),
      };
      /** Kernels by what rows, pages and functions there are. */
      const labels: Record<'plain' | 'functions', string[]> = { plain: [], functions: [] };
      for (const T of [2, 70])
        for (const [bits, own] of [
          [undefined, {}],
          [8, {}],
          [undefined, functions],
          [8, functions],
        ] as const) {
          const pool = () => (bits ? zeros([64, 2, 16], 'u32') : zeros([64, 2, 64]));
          const scales = () => zeros([64, 2, 1], 'f32');
          const quantized = bits && { quantized: { bits, keyScales: scales(), valueScales: scales() } };
          const out = flash().attend(
            ...([zeros([T, 4, 64]), zeros([T, 2, 64]), zeros([T, 2, 64])] as const),
            {
              ...{ keys: pool(), values: pool(), blockTable: zeros([2, 8], 'i32'), lengths: zeros([2], 'i32') },
              ...{ blockSize: 8, maxLength: 60, ...quantized },
            },
            { segments: zeros([T], 'i32'), positions: zeros([T], 'i32'), window: 30, sinks: zeros([4], 'f32'), ...own },
          );
          for (const kernel of kernelsOf(out, capabilities)) {
            labels[own === functions ? 'functions' : 'plain'].push(kernel.label);
            expect(guesses(kernel), kernel.label).toEqual([]);
          }
        }
      expect(new Set(labels.plain).size).toBeGreaterThan(1);
      // functions of scores are part of what the same kernels do
      expect(labels.functions).toEqual(labels.plain);
    });
  }

  test('a name that is guessed would be seen', () => {
    const [byQ] = gradients(attention(q, k, v, {}).cast('f32').sum(), [q]);
    const kernel = kernelsOf(byQ!, plain)[0]!;
    const write: KernelCall['write'] = () => ({ main: 'let x = q_at(0u) + params.L + k[0] + zz_at(1u);' });
    expect(guesses({ ...kernel, write })).toEqual(['q_at(', 'params', 'k[']);
  });
});
