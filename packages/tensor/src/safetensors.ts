/**
 * `@heddle/tensor/safetensors`: trees of tensors saved and loaded; safetensors files read by position, and written.
 */
export { type ByteSource, type FileInput, type OpenSource, openSource } from './files/byte-source.ts';
export { type LoadTensorsOptions, loadTensors, type TensorInput } from './files/load-tensors.ts';
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
export { type SaveTensorsOptions, saveTensors, type TensorTarget, tensorsToBlob } from './files/save-tensors.ts';
export type { ByteSink } from './files/written-file.ts';
