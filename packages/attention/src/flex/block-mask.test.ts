import type { TensorType } from '@heddle/tensor';
import { expect, test } from 'vitest';
import type { DenseAttributes } from '../dense/arguments.ts';
import { blocksInKernel, neededInputs } from './block-mask.wgsl.ts';

test('a kernel that cannot bind the blocks does without them', () => {
  const head: TensorType = { shape: [1, 64, 2, 8], dtype: 'f32' };
  const blocks: TensorType = { shape: [1, 1, 2, 2], dtype: 'i32' };
  const inputs = [head, head, head, blocks];
  const attributes: DenseAttributes = { scale: 1, causal: false, extras: ['blocks'] };
  const at = (maxStorageBuffers: number) =>
    blocksInKernel({ inputs, attributes, capabilities: { maxStorageBuffers } }, 2)?.buffer;
  expect(neededInputs(inputs, attributes)).toBe(3);
  expect(at(6)).toEqual({ name: 'blocks', input: 3 });
  expect(at(5)).toBeUndefined();
});
