import type { Dim, KernelBuffer, KernelNames, TensorType } from '@heddle/tensor';
import { gridPlace } from '../../tiles/grid.wgsl.ts';
import type { PackedAttributes, PackedInput, PackedSizes } from '../attributes.ts';
import { packedBuffers } from './buffers.wgsl.ts';

/** Fewest keys that a workgroup takes. */
export const fewestKeys = 128;

export interface DecodeSizes extends PackedSizes {
  readonly splits: number;
  /** Cached keys and own rows together, at most. */
  readonly keys: Dim;
  /** Whether each row is of another sequence: of the step's own keys it sees its own alone. */
  readonly single: boolean;
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
export function decodeBuffers(
  inputs: readonly TensorType[],
  attributes: PackedAttributes,
  wide = false,
): readonly KernelBuffer[] {
  const eights: readonly PackedInput[] = ['k', 'v', 'keys', 'values'];
  const vectorOf = (name: PackedInput, { dtype }: TensorType) =>
    wide && dtype === 'f16' && eights.includes(name) ? 8 : undefined;
  // a sink's logit joins in when parts do
  return packedBuffers(inputs, attributes, vectorOf, ['sinks']);
}

/** Parts that a run of so many keys is cut into. */
export function partsOf(keys: number, splits: number): number {
  return Math.ceil(keys / Math.max(fewestKeys, Math.ceil(keys / splits)));
}

/**
 * WGSL of what a workgroup takes: `row`, `kv_head`, heads from `head_first` to below `head_end`, the sequence and how many keys
 * of it were cached `before`, and the part of its keys from `first` to below `end`. Heads of a group are taken `heads` at a time.
 */
export const decodePlaces = (
  { at, size }: KernelNames,
  splits: number,
  K: number,
  rounds: number,
  heads: number,
  single: boolean,
): string => `// parts are equally long for every row, so that the second kernel knows how many there are
  let share = max(${fewestKeys}u, (${size.longest} + ${splits - 1}u) / ${splits}u);
  ${gridPlace(size.T!, K * rounds, `((${size.longest} + share - 1u) / share)`)}
  let row = w.x;
  kv_head = w.y / ${rounds}u;
  let head_first = kv_head * G + w.y % ${rounds}u * ${heads}u;
  let head_end = (kv_head + 1u) * G;
  let segment = ${at.segments}(row);
  let position = ${at.positions}(row);
  sequence = segment;
  var before = 0u;
  if (segment >= 0) { before = cached_of(segment); }
  let first = w.z * share;
  let end = min(first + share, select(0u, before + ${single ? '1u' : size.T}, segment >= 0));`;
