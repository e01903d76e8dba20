import { type KvStore, keyValueShape } from '@heddle/kvcache';
import type { LatentAttentionLayout } from './latent-layout.ts';
import type { LayerLayout } from './layout.ts';
import type { ConvolutionLayout } from './recurrent-layouts.ts';
import { convolutionStore, stateStore } from './recurrent-rows.ts';

/** What a layer keeps of each token, or of each sequence; nothing where it reads what another one keeps. */
export function storesOf(
  { mixer: { part } }: Pick<LayerLayout, 'mixer'>,
  dtype: 'f32' | 'f16',
): Readonly<Record<string, KvStore>> {
  if (part.kind === 'latent-attention') return latentStores(part, dtype);
  if (part.kind !== 'attention') {
    const rows = convolutionRows(part.convolution, dtype);
    if (part.kind === 'short-convolution') return rows;
    const shape =
      part.kind === 'delta-net'
        ? [part.valueHeads, part.keyDim, part.valueDim]
        : [part.heads, part.stateSize, part.headDim];
    // what is added up over a whole sequence is not rounded to f16 on the way
    return { ...rows, [stateStore]: { kind: 'state', shape, dtype: 'f32' } };
  }
  if (part.sharedWith !== undefined) return {};
  const { keyValueHeads: heads, headDim, window } = part;
  return keyValueShape({ layers: 1, heads, headDim, dtype, ...(window !== undefined && { window }) }).layers[0]!;
}

/** One row of each token: the latent one, and after it the rotated part of the keys. */
function latentStores(
  { latentDim, rotaryDim }: Pick<LatentAttentionLayout, 'latentDim' | 'rotaryDim'>,
  dtype: 'f32' | 'f16',
): Record<string, KvStore> {
  return { latent: { kind: 'rows', shape: [1, latentDim + rotaryDim], dtype, valueDim: latentDim } };
}

function convolutionRows({ channels, width }: ConvolutionLayout, dtype: 'f32' | 'f16'): Record<string, KvStore> {
  return { [convolutionStore]: { kind: 'rows', shape: [1, channels], dtype, window: width } };
}
