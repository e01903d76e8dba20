import { describe, expect, test } from 'vitest';
import { onnxOnly } from '../../../../../test-support/onnx.ts';
import type { OnnxType } from '../../graph/onnx-lowering.ts';
import { encodeModel, type OnnxInitializer, type OnnxModel, type OnnxNode } from './model.ts';
import { hostValues, runtimeTensor } from './runtime.ts';

const node = (
  type: string,
  inputs: string[],
  outputs: string[],
  attributes: OnnxNode['attributes'] = {},
): OnnxNode => ({
  name: outputs[0]!,
  type,
  domain: '',
  inputs,
  outputs,
  attributes,
});

/** y = x + w */
const sum = (type: OnnxType, w: ArrayBufferView, size: number): OnnxModel => ({
  inputs: [{ name: 'x', type, shape: ['T', size] }],
  outputs: [{ name: 'y', type, shape: ['T', size] }],
  initializers: [{ name: 'w', type, shape: [size], data: w } satisfies OnnxInitializer],
  nodes: [node('Add', ['x', 'w'], ['y'])],
});

describe('encoding models', () => {
  const model = sum('f32', new Float32Array(1024), 1024);

  test('keeps initialisers inside up to the limit', () => {
    const { bytes, externalData } = encodeModel(model, { externalAbove: 4096 });
    expect(externalData).toEqual([]);
    expect(bytes.byteLength).toBeGreaterThan(4096);
  });

  test('puts large initialisers beside the model above it, by reference', () => {
    const small = { name: 's', type: 'i64', shape: [2], data: BigInt64Array.of(1n, 2n) } as const;
    const both = { ...model, initializers: [...model.initializers, small] };
    const { bytes, externalData } = encodeModel(both, { externalAbove: 4095 });
    expect(bytes.byteLength).toBeLessThan(1024);
    expect(externalData).toMatchObject([{ path: 'data0', offset: 0, data: { byteLength: 4096 } }]);
    expect(externalData[0]!.data.buffer).toBe(model.initializers[0]!.data.buffer);
  });

  test('puts them all into one file where it is named, each at the beginning of a page', () => {
    const more = { ...model.initializers[0]!, name: 'v', data: new Float32Array(1025) };
    const both = { ...model, initializers: [more, ...model.initializers] };
    const { externalData } = encodeModel(both, { externalAbove: 0, externalFile: 'weights.bin' });
    expect(externalData.map(({ path, offset }) => [path, offset])).toEqual([
      ['weights.bin', 0],
      ['weights.bin', 8192],
    ]);
  });

  test('counts all initialisers together', () => {
    const more = { ...model.initializers[0]!, name: 'v' };
    const both = { ...model, initializers: [...model.initializers, more] };
    expect(encodeModel(both, { externalAbove: 5000 }).externalData).toHaveLength(2);
    expect(encodeModel(both, { externalAbove: 8192 }).externalData).toHaveLength(0);
  });
});

onnxOnly('encoded models on the runtime', (open) => {
  test('external data is read from memory', async () => {
    const { executor } = await open();
    const weights = Float32Array.from({ length: 512 }, (_, i) => i);
    const { bytes, externalData } = encodeModel(sum('f32', weights, 512), { externalAbove: 1 });
    expect(externalData).toHaveLength(1);
    const session = await executor.runtime.InferenceSession.create(bytes, { externalData });
    const x = runtimeTensor(executor.runtime, 'f32', new Float32Array(1024).fill(0.5), [2, 512]);
    const y = hostValues('f32', (await session.run({ x })).y!);
    expect(y[3]).toBe(3.5);
    expect(y[1023]).toBe(511.5);
    await session.release();
  });

  test.each([
    ['f32', Float32Array.of(1, 2), Float32Array.of(3, 4)],
    ['f16', Uint16Array.of(0x3c00, 0x4000), Uint16Array.of(0x4200, 0x4400)],
    ['i32', Int32Array.of(-5, 2), Int32Array.of(2, 9)],
    ['u32', Uint32Array.of(4e9, 2), Uint32Array.of(5, 9)],
    ['bool', Uint8Array.of(1, 0), Uint8Array.of(0, 1)],
  ] as const)('initialisers and feeds of %s arrive as they are', async (type, a, b) => {
    const { executor } = await open();
    const model: OnnxModel = {
      inputs: [{ name: 'x', type, shape: [2] }],
      outputs: [{ name: 'y', type, shape: [4] }],
      initializers: [{ name: 'w', type, shape: [2], data: a }],
      nodes: [node('Concat', ['w', 'x'], ['y'], { axis: 0 })],
    };
    const session = await executor.runtime.InferenceSession.create(encodeModel(model).bytes, {});
    const { y } = await session.run({ x: runtimeTensor(executor.runtime, type, b, [2]) });
    expect([...hostValues(type, y!)]).toEqual([...a, ...b]);
    await session.release();
  });
});
