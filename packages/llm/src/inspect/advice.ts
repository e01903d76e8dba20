import { byteSize } from '@heddle/tensor';
import { storedAs } from '../models/safetensors-weights.ts';
import { type WeightDType, weightDTypes } from '../models/weight-file.ts';
import { adviceLines } from './advice-lines.ts';
import { countFlops } from './count-flops.ts';
import { type AttentionSizes, attentionKind, cachedBytes, type ModelSizes } from './model-sizes.ts';
import { activeShare, layerOf, partOf, sizeOf, storedBytes, totalsByPart } from './weight-parts.ts';

/** The use that advice is asked for. */
export interface AdviceWishes {
  readonly dtype: WeightDType;
  readonly cacheDtype: 'f32' | 'f16';
  readonly length: number;
  readonly batch: number;
  /** Bytes that there are. */
  readonly memory: number;
}

/** One way to store weights and cache. */
export interface StorageChoice {
  readonly dtype: WeightDType;
  readonly cacheDtype: 'f32' | 'f16';
  readonly weightBytes: number;
  readonly cacheBytesPerSequence: number;
  /** How many sequences fit beside the weights and tables of positions; 0 also where the weights alone do not. */
  readonly sequences: number;
}

/** The same model with another number of key-value heads. */
export interface AttentionChoice {
  readonly kind: string;
  readonly parameters: number;
  readonly cacheBytesPerSequence: number;
  readonly sequences: number;
}

/** What one step of decoding reads and computes: the last token of each sequence. */
export interface DecodingLimits {
  /** Weights that compute tokens: all but tables of embeddings and experts that are not chosen. */
  readonly weightBytes: number;
  readonly cacheBytes: number;
  readonly flops: number;
  /** A device that does more operations for each byte that it reads is limited by its memory. */
  readonly flopsPerByte: number;
  /** From so many sequences on more is read of the cache than of the weights; undefined where there is no cache. */
  readonly cacheRulesFrom: number | undefined;
}

/** What fits a memory, from the numbers of a model. What a step holds in between is not in it: a device's plans know. */
export interface Advice {
  readonly memory: number;
  readonly storage: readonly StorageChoice[];
  /** Multi-head, grouped (a quarter, and the model's own) and multi-query attention, at the dtypes that were asked for. */
  readonly attention: readonly AttentionChoice[];
  readonly decoding: DecodingLimits;
  /** The same in sentences. */
  readonly lines: readonly string[];
}

/** Says what of a model fits, and what limits its decoding. */
export function advise(sizes: ModelSizes, wishes: AdviceWishes): Advice {
  const storage = weightDTypes.flatMap((dtype) =>
    (['f32', 'f16'] as const).map((cacheDtype) => storageChoice(sizes, { ...wishes, dtype, cacheDtype })),
  );
  const attention = variants(sizes).map((variant) => attentionChoice(sizes, variant, wishes));
  const advice = { memory: wishes.memory, storage, attention, decoding: decodingLimits(sizes, wishes) };
  return { ...advice, lines: adviceLines(advice, wishes) };
}

function storageChoice(sizes: ModelSizes, { dtype, cacheDtype, length, memory }: AdviceWishes): StorageChoice {
  const weightBytes = totalsByPart(sizes, (shape) => storedBytes(shape, dtype)).total;
  const cacheBytesPerSequence = sizes.layers.reduce((sum, layer) => sum + cachedBytes(layer, cacheDtype, length), 0);
  const sequences = sequencesThatFit(memory - weightBytes - sizes.tableBytes, cacheBytesPerSequence);
  return { dtype, cacheDtype, weightBytes, cacheBytesPerSequence, sequences };
}

const sequencesThatFit = (left: number, each: number): number =>
  left < 0 ? 0 : each === 0 ? Number.POSITIVE_INFINITY : Math.floor(left / each);

/** How many key-value heads each layer has, for every kind that is compared. */
function variants({ layers }: ModelSizes): readonly ((attention: AttentionSizes) => number)[] {
  const first = layers.find(({ attention }) => attention)?.attention;
  if (!first) return [];
  const kinds = [
    ({ heads }: AttentionSizes) => heads,
    ({ heads }: AttentionSizes) => (heads % 4 === 0 ? heads / 4 : heads),
    ({ keyValueHeads }: AttentionSizes) => keyValueHeads,
    () => 1,
  ];
  const byCount = new Map(kinds.map((kind) => [kind(first), kind]));
  return [...byCount].sort(([a], [b]) => b - a).map(([, kind]) => kind);
}

function attentionChoice(
  sizes: ModelSizes,
  headsOf: (attention: AttentionSizes) => number,
  { dtype, cacheDtype, length, memory }: AdviceWishes,
): AttentionChoice {
  let [parameters, cacheBytesPerSequence] = [totalsByPart(sizes, sizeOf).total, 0];
  let kind = 'none';
  for (const layer of sizes.layers) {
    const { attention } = layer;
    if (!attention) {
      cacheBytesPerSequence += cachedBytes(layer, cacheDtype, length);
      continue;
    }
    const changed = { ...attention, keyValueHeads: headsOf(attention) };
    if (kind === 'none') kind = attentionKind(changed);
    cacheBytesPerSequence += cachedBytes({ attention: changed }, cacheDtype, length);
    if (attention.sharesKeysAndValues) continue;
    const perHead = sizes.hiddenSize * (attention.keyDim + attention.valueDim);
    parameters += perHead * (changed.keyValueHeads - attention.keyValueHeads);
  }
  const own = totalsByPart(sizes, sizeOf).total;
  const weightBytes = totalsByPart(sizes, (shape) => storedBytes(shape, dtype)).total;
  const changedBytes = weightBytes + (parameters - own) * byteSize[storedAs([1, sizes.hiddenSize], dtype)];
  return {
    kind,
    parameters,
    cacheBytesPerSequence,
    sequences: sequencesThatFit(memory - changedBytes - sizes.tableBytes, cacheBytesPerSequence),
  };
}

function decodingLimits(sizes: ModelSizes, { dtype, cacheDtype, length, batch }: AdviceWishes): DecodingLimits {
  const read = totalsByPart(sizes, (shape, name) => {
    const index = layerOf(name);
    // several sequences choose different experts
    const share = Math.min(1, batch * activeShare(name, index === undefined ? undefined : sizes.layers[index]));
    return partOf(name) === 'embedding' ? 0 : storedBytes(shape, dtype) * share;
  });
  const head = sizes.tied ? storedBytes([sizes.vocabularySize, sizes.hiddenSize], dtype) : 0;
  const weightBytes = Math.round(read.total + head);
  const perSequence = sizes.layers.reduce((sum, layer) => sum + cachedBytes(layer, cacheDtype, length), 0);
  const cacheBytes = batch * perSequence;
  const flops = countFlops(sizes, { batch, queries: 1, length }).model.total;
  return {
    weightBytes,
    cacheBytes,
    flops,
    flopsPerByte: flops / (weightBytes + cacheBytes),
    cacheRulesFrom: perSequence === 0 ? undefined : Math.ceil(weightBytes / perSequence),
  };
}
