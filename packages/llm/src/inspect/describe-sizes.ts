import type { ModelDescription } from '../families.ts';
import type { ModelSizes } from './model-sizes.ts';

/** The sizes of a model whose configuration was read. */
export function sizesOfDescription(
  name: string,
  { config, shapes, tied }: Pick<ModelDescription, 'config' | 'shapes' | 'tied'>,
): ModelSizes {
  const { heads, keyValueHeads, headDim, vocabularySize, hiddenSize, maxPositions } = config;
  const attention = { heads, keyValueHeads, keyDim: headDim, valueDim: headDim };
  return {
    name,
    architecture: config.architecture,
    vocabularySize,
    hiddenSize,
    maxPositions,
    shapes,
    tied,
    layers: Array.from({ length: config.layers }, () => ({ attention })),
  };
}
