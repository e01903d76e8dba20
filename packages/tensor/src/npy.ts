/**
 * `@heddle/tensor/npy`: reading and writing NumPy's `.npy` files.
 */
export type { ByteSource, FileInput } from './files/byte-source.ts';
export { type NpyArray, type NpyArrays, readNpy, writeNpy } from './files/npy.ts';
export { type NpyDType, npyDTypes } from './files/npy-header.ts';
export { npyOfTensor, tensorOfNpy } from './files/npy-tensor.ts';
