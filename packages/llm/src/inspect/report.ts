import { bytesPerToken } from '@heddle/kvcache';
import type { HubOptions } from '../hub/hub-options.ts';
import { type WeightDType, weightDTypes } from '../models/weight-file.ts';
import { type Advice, advise } from './advice.ts';
import { countFlops, type LayerFlops, type ModelFlops } from './count-flops.ts';
import { attentionKind, cachedBytes, kvShapeOf, type ModelSizes, stateBytes, storesOf } from './model-sizes.ts';
import { activeShare, layerOf, type PartTotals, sizeOf, storedBytes, totalsByPart } from './weight-parts.ts';

/** For which use a model is inspected. */
export interface InspectOptions {
  /** How matrices are stored, norms and biases in f32, as `loadModel` does. Default f16. */
  readonly dtype?: WeightDType;
  /** How keys and values are cached. Default f16. */
  readonly cacheDtype?: 'f32' | 'f16';
  /** Tokens of each sequence. Default 2,048, or the model's context where that is shorter. */
  readonly length?: number;
  /** Sequences at once. Default 1. */
  readonly batch?: number;
  /** Bytes of memory that there are: the report then says what fits it. */
  readonly memory?: number;
  /** How the configuration of a model of a hub is fetched. */
  readonly hub?: HubOptions;
}

/** What one layer costs. */
export interface LayerReport {
  readonly parameters: number;
  /** Undefined for layers without attention. */
  readonly attention?: {
    /** `mha`, `mqa`, or `gqa-K` with K key-value heads. */
    readonly kind: string;
    readonly heads: number;
    readonly keyValueHeads: number;
    readonly headDim: number;
    readonly window?: number;
  };
  /** What a layer that is no attention is. */
  readonly recurrent?: 'short-convolution' | 'delta-net' | 'mamba2';
  readonly cacheBytesPerToken: number;
  /** What it keeps of each sequence, however long it is. */
  readonly stateBytes: number;
  /** Of all sequences at their length, states included: a window keeps no more than it sees. */
  readonly cacheBytes: number;
  readonly prefill: LayerFlops;
  readonly decode: LayerFlops;
}

/** What a model costs; bytes, and floating-point operations of matrix products. */
export interface ModelReport {
  readonly name: string;
  readonly architecture: string;
  readonly maxPositions: number;
  readonly dtype: WeightDType;
  readonly cacheDtype: 'f32' | 'f16';
  readonly length: number;
  readonly batch: number;
  /** By part; a head that is the embedding is counted once, there. */
  readonly parameters: PartTotals;
  /** Those that compute each token: fewer than there are, where there are experts or tables to look up in. */
  readonly activeParameters: number;
  /** Bytes of the weights in `dtype`, by part. */
  readonly memory: PartTotals;
  /** Bytes of the weights in each dtype. */
  readonly weightBytes: Readonly<Record<WeightDType, number>>;
  /** Bytes of the tables by which positions are rotated or added. */
  readonly tableBytes: number;
  readonly cacheBytesPerToken: number;
  /** Of each sequence, however long it is: the states of recurrent layers. */
  readonly stateBytes: number;
  /** Of all sequences at their length, states included. */
  readonly cacheBytes: number;
  /** Computing the whole of all sequences, with the logits that follow each. */
  readonly prefill: ModelFlops;
  /** Computing the last token of each sequence, the ones before it being cached. */
  readonly decode: ModelFlops;
  readonly layers: readonly LayerReport[];
  /** What fits `memory`; undefined where none was named. */
  readonly advice?: Advice;
}

/** Reports on a model from its sizes alone. */
export function reportOf(
  sizes: ModelSizes,
  options: Required<Omit<InspectOptions, 'memory' | 'hub'>> & Pick<InspectOptions, 'memory'>,
): ModelReport {
  const { dtype, cacheDtype, length, batch, memory } = options;
  const prefill = countFlops(sizes, { batch, queries: length, length });
  const decode = countFlops(sizes, { batch, queries: 1, length });
  const layers = layerReports(sizes, options).map((layer, index) => ({
    ...layer,
    prefill: prefill.layers[index]!,
    decode: decode.layers[index]!,
  }));
  const weightBytes = Object.fromEntries(
    weightDTypes.map((each) => [each, totalsByPart(sizes, (shape) => storedBytes(shape, each)).total]),
  ) as Record<WeightDType, number>;
  return {
    name: sizes.name,
    architecture: sizes.architecture,
    maxPositions: sizes.maxPositions,
    dtype,
    cacheDtype,
    length,
    batch,
    parameters: totalsByPart(sizes, sizeOf),
    activeParameters: activeParameters(sizes),
    memory: totalsByPart(sizes, (shape) => storedBytes(shape, dtype)),
    weightBytes,
    tableBytes: sizes.tableBytes,
    cacheBytesPerToken: bytesPerToken(kvShapeOf(sizes, cacheDtype)),
    stateBytes: layers.reduce((sum, layer) => sum + layer.stateBytes, 0),
    cacheBytes: layers.reduce((sum, { cacheBytes }) => sum + cacheBytes, 0),
    prefill: prefill.model,
    decode: decode.model,
    layers,
    ...(memory !== undefined && { advice: advise(sizes, { dtype, cacheDtype, length, batch, memory }) }),
  };
}

function layerReports(
  sizes: ModelSizes,
  {
    cacheDtype,
    length,
    batch,
  }: { readonly cacheDtype: 'f32' | 'f16'; readonly length: number; readonly batch: number },
): Omit<LayerReport, 'prefill' | 'decode'>[] {
  const parameters = sizes.layers.map(() => 0);
  for (const [name, shape] of sizes.shapes) {
    const index = layerOf(name);
    if (index !== undefined && index < parameters.length) parameters[index]! += sizeOf(shape);
  }
  return sizes.layers.map((layer, index) => {
    const { attention } = layer;
    return {
      parameters: parameters[index]!,
      ...(attention && {
        attention: {
          kind: attentionKind(attention),
          heads: attention.heads,
          keyValueHeads: attention.keyValueHeads,
          headDim: attention.keyDim,
          ...(attention.window !== undefined && { window: attention.window }),
        },
      }),
      ...(layer.recurrent && { recurrent: layer.recurrent.kind }),
      cacheBytesPerToken: bytesPerToken({ layers: [storesOf(layer, cacheDtype)] }),
      stateBytes: stateBytes(layer, cacheDtype),
      cacheBytes: batch * cachedBytes(layer, cacheDtype, length),
    };
  });
}

function activeParameters(sizes: ModelSizes): number {
  const active = totalsByPart(sizes, (shape, name) => {
    const index = layerOf(name);
    return sizeOf(shape) * activeShare(name, index === undefined ? undefined : sizes.layers[index]);
  });
  // a table of embeddings computes nothing, except as the head
  return Math.round(active.total - active.embedding + (sizes.tied ? sizes.vocabularySize * sizes.hiddenSize : 0));
}
