import { checkOptions } from '../checks/check-options.ts';
import type { Device } from '../graph/device.ts';
import type { Variable } from '../graph/variable.ts';
import { embedding } from '../ops/indexing/gather.ts';
import { normalValues } from './initial-values.ts';
import { checkLayer, type Layer, type LayerOptions, layerDType, layerOf } from './layer.ts';
import { floats } from './linear.ts';

/** Sizes of a table of vectors. */
export interface EmbeddingOptions extends LayerOptions {
  /** How many vectors there are: the vocabulary. */
  readonly count: number;
  /** Values of a vector. */
  readonly width: number;
}

/**
 * A table of vectors: i32 indices `[...]` to `[..., width]`, with a weight `[count, width]` of a standard normal distribution.
 * Owned by the caller. @throws ArgumentError, OutOfMemoryError
 */
export function createEmbedding(device: Device, options: EmbeddingOptions): Layer<{ readonly weight: Variable }> {
  checkOptions('createEmbedding', options, { count: 'size', width: 'size', seed: 'whole', dtype: 'anything' });
  const { count, width, seed } = options;
  checkLayer('createEmbedding', device, { count, width });
  const dtype = layerDType('createEmbedding', options.dtype);
  const shape = [count, width];
  const weight = device.variable(floats(normalValues(shape, { seed })), { shape, dtype, name: 'weight' });
  return layerOf('embedding', { weight }, (x) => embedding(weight, x));
}
