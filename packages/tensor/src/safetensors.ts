/**
 * `@heddle/tensor/safetensors`: reading safetensors files by position, and writing them.
 */
export { type ByteSource, type FileInput, type OpenSource, openSource } from './files/byte-source.ts';
export {
  type SafetensorsDType,
  safetensorsDTypes,
  safetensorsTo,
  safetensorsToF32,
} from './files/safetensors-dtype.ts';
export type { SafetensorsInfo } from './files/safetensors-header.ts';
export { openSafetensors, openShardedSafetensors } from './files/safetensors-open.ts';
export type { BytePart, SafetensorsFile } from './files/safetensors-reader.ts';
export {
  type SafetensorsEntry,
  type SafetensorsSource,
  safetensorsChunks,
  writeSafetensors,
} from './files/safetensors-writer.ts';
