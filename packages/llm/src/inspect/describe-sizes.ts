import type { ModelDescription } from '../families.ts';
import type { LayerLayout } from '../models/decoder/layout.ts';
import { tableBytes } from '../models/decoder/rotations.ts';
import type { LayerSizes, ModelSizes } from './model-sizes.ts';

/** The sizes of a model whose configuration was read. */
export function sizesOfDescription(
  name: string,
  { config, shapes, buffers, tied }: Pick<ModelDescription, 'config' | 'shapes' | 'buffers' | 'tied'>,
): ModelSizes {
  const { vocabularySize, hiddenSize, maxPositions } = config;
  return {
    name,
    architecture: config.architecture,
    vocabularySize,
    hiddenSize,
    maxPositions,
    shapes: new Map([...shapes].filter(([weight]) => !buffers.has(weight))),
    tied,
    tableBytes: tableBytes(config.layout, maxPositions),
    layers: config.layout.layers.map(layerSizes),
  };
}

function layerSizes({ mixer: { part }, feedForward: { part: fed } }: LayerLayout): LayerSizes {
  const experts = fed.kind === 'experts' && { experts: { count: fed.count, perToken: fed.perToken } };
  if (part.kind === 'latent-attention') {
    const { heads, latentDim, rotaryDim } = part;
    const absorbed = { keyDim: latentDim + rotaryDim, valueDim: latentDim, valuesInKeys: true };
    return { attention: { heads, keyValueHeads: 1, ...absorbed }, ...experts };
  }
  if (part.kind !== 'attention') return { recurrent: part, ...experts };
  const { heads, keyValueHeads, headDim, window, sharedWith } = part;
  return {
    attention: {
      heads,
      keyValueHeads,
      keyDim: headDim,
      valueDim: headDim,
      ...(window !== undefined && { window }),
      ...(sharedWith !== undefined && { sharesKeysAndValues: true }),
    },
    ...experts,
  };
}
