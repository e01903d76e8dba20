import { bytesPerState, bytesPerToken, type KvShape, type KvStore, keyValueShape } from '@heddle/kvcache';
import { byteSize } from '@heddle/tensor';
import type { RecurrentLayout } from '../models/decoder/recurrent-layouts.ts';
import { storesOf as storesOfLayer } from '../models/decoder/stores.ts';

/** Attention of one layer: every query is compared with the keys of its own and earlier positions. */
export interface AttentionSizes {
  /** H */
  readonly heads: number;
  /** K */
  readonly keyValueHeads: number;
  /** D of queries and keys. */
  readonly keyDim: number;
  /** D of values. */
  readonly valueDim: number;
  /** Whether values are the leading part of keys, which alone are kept. */
  readonly valuesInKeys?: boolean;
  /** Only keys less than `window` positions back are seen; all by default. */
  readonly window?: number;
  /** Whether it reads the keys and values of an earlier layer and keeps none. */
  readonly sharesKeysAndValues?: boolean;
}

/** What a layer computes beyond what its weights say. */
export interface LayerSizes {
  readonly attention?: AttentionSizes;
  /** A layer that keeps a state of each sequence, which does not grow with it. */
  readonly recurrent?: RecurrentLayout;
  /** Of the weights named `experts`, those of so many experts compute each token. */
  readonly experts?: { readonly count: number; readonly perToken: number };
}

/** The sizes of a model, which say what it costs. No weight is read for them. */
export interface ModelSizes {
  readonly name: string;
  readonly architecture: string;
  /** V */
  readonly vocabularySize: number;
  /** E */
  readonly hiddenSize: number;
  readonly maxPositions: number;
  /** Shape of every weight by its name. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Whether the head is the token embedding. */
  readonly tied: boolean;
  /** Of the tables of positions. */
  readonly tableBytes: number;
  readonly layers: readonly LayerSizes[];
}

/** What one layer keeps of each token. */
export function storesOf({ attention }: LayerSizes, dtype: 'f32' | 'f16'): Readonly<Record<string, KvStore>> {
  if (!attention || attention.sharesKeysAndValues) return {};
  const { keyValueHeads: heads, keyDim: headDim, valueDim, window } = attention;
  if (attention.valuesInKeys) return { latent: { kind: 'rows', shape: [heads, headDim], dtype, valueDim } };
  const sizes = { layers: 1, heads, headDim, valueDim, dtype, ...(window !== undefined && { window }) };
  return keyValueShape(sizes).layers[0]!;
}

/** What all layers keep of each token: the shape of a cache for the model. */
export function kvShapeOf({ layers }: ModelSizes, dtype: 'f32' | 'f16'): KvShape {
  return { layers: layers.map((layer) => storesOf(layer, dtype)) };
}

/** Bytes that a layer keeps of a sequence of so many tokens: of a window, those that the next token may see. */
export function cachedBytes(layer: LayerSizes, dtype: 'f32' | 'f16', length: number): number {
  const bytes = ({ shape: [heads, width], window = length, keepFirst = 0 }: KvStore) =>
    heads * width * byteSize[dtype] * Math.min(length, window + keepFirst);
  const rows = Object.values(storesOf(layer, dtype)).reduce((sum, store) => sum + bytes(store), 0);
  return rows + stateBytes(layer, dtype);
}

/** Bytes that a layer keeps of a sequence, however long it is: the state of a recurrence, and the rows that a convolution reaches. */
export function stateBytes({ recurrent: part }: LayerSizes, dtype: 'f32' | 'f16'): number {
  if (!part) return 0;
  const shape = { layers: [storesOfLayer({ mixer: { part } }, dtype)] };
  return bytesPerState(shape) + part.convolution.width * bytesPerToken(shape);
}

/** Multiplications of one token with the state of a layer: it is read by key and query, and added to. */
export function stateProducts({ recurrent: part }: LayerSizes): number {
  if (part?.kind === 'delta-net') return 3 * part.valueHeads * part.keyDim * part.valueDim;
  return part?.kind === 'mamba2' ? 2 * part.heads * part.stateSize * part.headDim : 0;
}

/** The name of a kind of attention: `mha`, `mqa`, or `gqa-K` with so many key-value heads. */
export function attentionKind({ heads, keyValueHeads }: Pick<AttentionSizes, 'heads' | 'keyValueHeads'>): string {
  if (keyValueHeads === heads) return 'mha';
  return keyValueHeads === 1 ? 'mqa' : `gqa-${keyValueHeads}`;
}
