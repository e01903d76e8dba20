import { type BlockFormat, blockSizes } from '../../../dtype.ts';

/**
 * How blocks lie in GPU buffers, where everything is read in words of four bytes, best in fours of them. Blocks of q8_0, q4_0
 * and q6_k (34, 18 and 210 bytes) are taken in groups of eight: first all but their scales, then the eight f16 scales; blocks of
 * mxfp4 (17 bytes) in groups of sixteen, whose scales are bytes. A block of q4_k (144 bytes) or q5_k (176) lies as it is. The last
 * group is completed with zeros.
 */
interface GroupLayout {
  /** Blocks that lie together. */
  readonly blocks: number;
  /** Where in the bytes of a block its scale is; undefined where a block lies as it is. */
  readonly scaleAt: number | undefined;
  /** Bytes of a scale: all else is a whole number of so many, too. */
  readonly unit: 1 | 2;
}

const groups: Readonly<Record<BlockFormat, GroupLayout>> = {
  q8_0: { blocks: 8, scaleAt: 0, unit: 2 },
  q4_0: { blocks: 8, scaleAt: 0, unit: 2 },
  mxfp4: { blocks: 16, scaleAt: 0, unit: 1 },
  q6_k: { blocks: 8, scaleAt: 208, unit: 2 },
  q4_k: { blocks: 1, scaleAt: undefined, unit: 2 },
  q5_k: { blocks: 1, scaleAt: undefined, unit: 2 },
};

/** Bytes of a group: writes begin at whole ones. */
export function groupBytes(format: BlockFormat): number {
  return groups[format].blocks * blockSizes[format].bytes;
}

/** Bytes in a buffer of `count` values. */
export function layoutBytes(format: BlockFormat, count: number): number {
  const { values } = blockSizes[format];
  return Math.ceil(count / (values * groups[format].blocks)) * groupBytes(format);
}

/** Blocks as they lie in a buffer. */
export function toLayout(format: BlockFormat, blocks: Uint8Array): Uint8Array<ArrayBuffer> {
  const size = layoutBytes(format, (blocks.length / blockSizes[format].bytes) * blockSizes[format].values);
  if (groups[format].scaleAt === undefined) return Uint8Array.from(blocks);
  const out = new Uint8Array(size);
  move(format, unitsOf(format, blocks), unitsOf(format, out), true);
  return out;
}

/** The blocks that lie in a buffer. */
export function fromLayout(format: BlockFormat, laid: ArrayBuffer, count: number): Uint8Array<ArrayBuffer> {
  const { values, bytes } = blockSizes[format];
  const size = (count / values) * bytes;
  if (groups[format].scaleAt === undefined) return new Uint8Array(laid, 0, size);
  const out = new Uint8Array(size);
  move(format, unitsOf(format, new Uint8Array(laid, 0, layoutBytes(format, count))), unitsOf(format, out), false);
  return out;
}

type Units = Uint8Array | Uint16Array;

/** Bytes as the units that are moved: the same memory, a copy of what lies at an odd place. */
function unitsOf(format: BlockFormat, bytes: Uint8Array): Units {
  if (groups[format].unit === 1) return bytes;
  const even = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(even.buffer, even.byteOffset, even.length / 2);
}

/** Copies the units of blocks to where they lie in a buffer (`intoGroups`), or back. */
function move(format: BlockFormat, from: Units, to: Units, intoGroups: boolean): void {
  const { blocks, scaleAt, unit } = groups[format];
  const perBlock = blockSizes[format].bytes / unit;
  const scale = scaleAt! / unit;
  const body = perBlock - 1;
  const count = (intoGroups ? from : to).length / perBlock;
  for (let block = 0; block < count; block++) {
    const first = block * perBlock;
    const place = block % blocks;
    const group = (block - place) * perBlock;
    copy(from, to, first + scale, group + blocks * body + place, 1, intoGroups);
    copy(from, to, scale === 0 ? first + 1 : first, group + place * body, body, intoGroups);
  }
}

/** Copies `length` units between `block` in blocks and `laid` in a buffer. */
function copy(from: Units, to: Units, block: number, laid: number, length: number, intoGroups: boolean): void {
  const [source, target] = intoGroups ? [block, laid] : [laid, block];
  for (let i = 0; i < length; i++) to[target + i] = from[source + i]!;
}
