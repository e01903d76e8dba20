import { type BlockFormat, blockSizes } from '../../../dtype.ts';

/**
 * How blocks lie in GPU buffers, where everything is read in words of four bytes, best in fours of them. Blocks of q8_0, q4_0
 * and q6_k (34, 18 and 210 bytes) are taken in groups of eight: first all but their scales, then the eight f16 scales. A
 * block of q4_k (144 bytes) lies as it is. The last group is completed with zeros.
 */
interface GroupLayout {
  /** Blocks that lie together. */
  readonly blocks: number;
  /** Where in the bytes of a block its scale is; undefined where a block lies as it is. */
  readonly scaleAt: number | undefined;
}

const groups: Readonly<Record<BlockFormat, GroupLayout>> = {
  q8_0: { blocks: 8, scaleAt: 0 },
  q4_0: { blocks: 8, scaleAt: 0 },
  q6_k: { blocks: 8, scaleAt: 208 },
  q4_k: { blocks: 1, scaleAt: undefined },
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
  // every part is a whole number of halves
  const given = new Uint16Array(
    blocks.byteOffset % 2 === 0 ? blocks.buffer : blocks.slice().buffer,
    blocks.byteOffset % 2 === 0 ? blocks.byteOffset : 0,
    blocks.length / 2,
  );
  const out = new Uint16Array(size / 2);
  move(format, given, out, true);
  return new Uint8Array(out.buffer);
}

/** The blocks that lie in a buffer. */
export function fromLayout(format: BlockFormat, laid: ArrayBuffer, count: number): Uint8Array<ArrayBuffer> {
  const { values, bytes } = blockSizes[format];
  const size = (count / values) * bytes;
  if (groups[format].scaleAt === undefined) return new Uint8Array(laid, 0, size);
  const given = new Uint16Array(laid, 0, layoutBytes(format, count) / 2);
  const out = new Uint16Array(size / 2);
  move(format, given, out, false);
  return new Uint8Array(out.buffer);
}

/** Copies the halves of blocks to where they lie in a buffer (`intoGroups`), or back. */
function move(format: BlockFormat, from: Uint16Array, to: Uint16Array, intoGroups: boolean): void {
  const perBlock = blockSizes[format].bytes / 2;
  const scale = groups[format].scaleAt! / 2;
  const body = perBlock - 1;
  const count = (intoGroups ? from : to).length / perBlock;
  for (let block = 0; block < count; block++) {
    const first = block * perBlock;
    const group = (block >> 3) * 8 * perBlock;
    copy(from, to, first + scale, group + 8 * body + (block & 7), 1, intoGroups);
    copy(from, to, scale === 0 ? first + 1 : first, group + (block & 7) * body, body, intoGroups);
  }
}

/** Copies `length` halves between `block` in blocks and `laid` in a buffer. */
function copy(
  from: Uint16Array,
  to: Uint16Array,
  block: number,
  laid: number,
  length: number,
  intoGroups: boolean,
): void {
  const [source, target] = intoGroups ? [block, laid] : [laid, block];
  for (let i = 0; i < length; i++) to[target + i] = from[source + i]!;
}
