import type { KernelBuffer, TensorType } from '@heddle/tensor';
import { headVector } from '../../tiles/head-access.wgsl.ts';
import { type PackedAttributes, type PackedInput, packedSizes, valuesInKeys } from '../attributes.ts';
import { capturedBuffers } from './score-functions.wgsl.ts';

const headRows: readonly PackedInput[] = ['q', 'k', 'v', 'keys', 'values'];

/** The name of an input in a kernel: quantised pages are words, which `pageText` reads. */
const bufferName = (name: PackedInput, { cache }: PackedAttributes): string =>
  cache?.bits && name === 'keys'
    ? 'key_words'
    : cache?.bits && name === 'values'
      ? 'value_words'
      : name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/**
 * The inputs of a packed attention as buffers, except for `without`, which the kernel does not read. Heads are read by fours, or
 * as `vectorOf` says.
 */
export function packedBuffers(
  inputs: readonly TensorType[],
  attributes: PackedAttributes,
  vectorOf: (name: PackedInput, type: TensorType) => 8 | undefined = () => undefined,
  without: readonly PackedInput[] = [],
): KernelBuffer[] {
  const { D, V } = packedSizes(inputs, attributes);
  const own = attributes.inputs.flatMap((name, input): KernelBuffer[] => {
    if (without.includes(name)) return [];
    const width = name === 'v' || name === 'values' ? V : D;
    const vector = vectorOf(name, inputs[input]!) ?? headVector(width);
    return [{ name: bufferName(name, attributes), input, ...(headRows.includes(name) ? { vector } : {}) }];
  });
  return [...own, ...capturedBuffers(inputs, attributes)];
}

/** Where a kernel reads values: the buffers of the step's own and of the cache, and values from one head to the next. */
export function valueBuffers(
  inputs: readonly TensorType[],
  attributes: PackedAttributes,
): { readonly own: 'v' | 'k'; readonly pool: 'values' | 'keys'; readonly pitch: number } {
  const { D, V } = packedSizes(inputs, attributes);
  return valuesInKeys(attributes) ? { own: 'k', pool: 'keys', pitch: D } : { own: 'v', pool: 'values', pitch: V };
}
