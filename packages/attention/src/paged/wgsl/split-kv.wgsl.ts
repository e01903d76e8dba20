import type { Dim, KernelBuffer, TensorType } from '@heddle/tensor';
import { headVector } from '../../tiles/head-access.wgsl.ts';
import { packedNames } from './page-table.wgsl.ts';

/** Fewest keys that a workgroup takes. */
export const fewestKeys = 128;

export interface DecodeSizes {
  readonly T: Dim;
  readonly H: number;
  readonly K: number;
  readonly D: number;
  readonly splits: number;
  /** Cached keys and own rows together, at most. */
  readonly keys: Dim;
}

/** How decoding is laid out where subgroups can shuffle. */
export interface DecodeShape {
  /** Invocations of a workgroup. */
  readonly threads: number;
  /** Heads that share one read of the keys. */
  readonly heads: number;
  /** Keys that a lane has under way. */
  readonly ahead: number;
  /** Workgroups that are wanted, to fill a large GPU. */
  readonly workgroups: number;
  /** Whether f16 keys and values are read by eights. */
  readonly wide: boolean;
}

/** The inputs of a packed attention with a cache, as buffers; keys and values in f16 by eights where `wide`. */
export function decodeBuffers(inputs: readonly TensorType[], D: number, wide = false): KernelBuffer[] {
  const vector = headVector(D);
  const names = packedNames(inputs);
  return inputs.map(({ dtype }, input) => {
    const name = names[input]!;
    if (wide && dtype === 'f16' && name !== 'q') return { name, input, vector: 8 };
    return { name, input, ...(['q', 'k', 'v', 'keys', 'values'].includes(name) ? { vector } : {}) };
  });
}

/** Parts that a run of so many keys is cut into. */
export function partsOf(keys: number, splits: number): number {
  return Math.ceil(keys / Math.max(fewestKeys, Math.ceil(keys / splits)));
}

/**
 * WGSL of what a workgroup takes: `row`, `kv_head`, heads from `head_first` to below `head_end`, the sequence and how many keys
 * of it were cached `before`, and the part of its keys from `first` to below `end`. Heads of a group are taken `heads` at a time.
 */
export const decodePlaces = (splits: number, rounds: number, heads: number): string => `let row = w.x;
  kv_head = w.y / ${rounds}u;
  let head_first = kv_head * G + w.y % ${rounds}u * ${heads}u;
  let head_end = (kv_head + 1u) * G;
  let segment = segments_at(row);
  let position = positions_at(row);
  sequence = segment;
  var before = 0u;
  if (segment >= 0) { before = u32(max(lengths_at(u32(segment)), 0)); }
  // parts are equally long for every row, so that the second kernel knows how many there are
  let share = max(${fewestKeys}u, (params.longest + ${splits - 1}u) / ${splits}u);
  let first = w.z * share;
  let end = min(first + share, select(0u, before + params.T, segment >= 0));`;
