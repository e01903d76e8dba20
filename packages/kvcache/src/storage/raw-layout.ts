import type { DType, HostArray, Variable } from '@heddle/tensor';

/** Where the blocks of a group lie. */
export interface RawGroup {
  /** What its stores are kept in, by slot. */
  readonly parts: readonly Variable[];
  /** Slots of a block. */
  readonly slots: number;
  /** Slots before the first block. */
  readonly offset: number;
}

type RawDType = 'u32' | 'f32' | 'f16';

/** What stores of one dtype hold of a block. */
export interface Lane {
  readonly dtype: RawDType;
  /** Where it begins in the bytes of a block. */
  readonly start: number;
  readonly byteLength: number;
  /** Its parts, by their place in the group, and the values of a block before each. */
  readonly parts: readonly { readonly index: number; readonly before: number; readonly size: number }[];
}

const dtypes: readonly RawDType[] = ['u32', 'f32', 'f16'];
const elementBytes = { f32: 4, u32: 4, f16: 2 } as const;
const arrays = { f32: Float32Array, u32: Uint32Array, f16: Uint16Array } as const;

/** How the bytes of a block are laid out: parts of one dtype one after the other, so that they go over as one. */
export function lanesOf({ parts, slots }: RawGroup): readonly Lane[] {
  const lanes: Lane[] = [];
  let start = 0;
  for (const dtype of dtypes) {
    let before = 0;
    const own = parts.flatMap((part, index) => {
      if (part.dtype !== dtype) return [];
      const size = slots * valuesOf(part);
      before += size;
      return [{ index, before: before - size, size }];
    });
    const byteLength = before * elementBytes[dtype];
    if (own.length > 0) lanes.push({ dtype, start, byteLength, parts: own });
    start += byteLength;
  }
  return lanes;
}

/** Bytes of a block of a group. */
export const bytesOfBlock = (lanes: readonly Lane[]): number =>
  lanes.reduce((sum, { byteLength }) => sum + byteLength, 0);

/** Slots of some blocks, in their order. */
export function slotsOfBlocks({ slots, offset }: RawGroup, blocks: readonly number[]): Int32Array {
  return Int32Array.from(
    { length: blocks.length * slots },
    (_, i) => offset + blocks[Math.floor(i / slots)]! * slots + (i % slots),
  );
}

/** The values of a lane in the bytes of a block; a copy where they lie in the middle of a value. */
export function valuesIn(block: Uint8Array, { dtype, start, byteLength }: Lane): HostArray {
  const each = elementBytes[dtype];
  const bytes = block.subarray(start, start + byteLength);
  const { buffer, byteOffset } = bytes.byteOffset % each === 0 ? bytes : bytes.slice();
  return new arrays[dtype](buffer as ArrayBuffer, byteOffset, byteLength / each);
}

/** Values of a slot of a part. */
const valuesOf = ({ shape }: Variable): number => (shape.slice(1) as number[]).reduce((all, size) => all * size, 1);

/** Bytes of so many values. */
export const bytesOfValues = (dtype: DType, count: number): number => count * elementBytes[dtype as RawDType];
