import type { BlockFormat } from '../dtype.ts';
import { type BlockType, blockTypes, checkBlocks } from './block-type.ts';
import { decodeIQ4_XS, decodeQ2_K, decodeQ3_K, decodeQ4_K, decodeQ5_K, decodeQ6_K } from './decode-k.ts';
import {
  type BlockDecoder,
  decodeBF16,
  decodeIQ4_NL,
  decodeMXFP4,
  decodeQ4_0,
  decodeQ4_1,
  decodeQ5_0,
  decodeQ5_1,
  decodeQ8_0,
} from './decode-simple.ts';

const decoders: Readonly<Record<BlockType, BlockDecoder>> = {
  Q4_0: decodeQ4_0,
  Q4_1: decodeQ4_1,
  Q5_0: decodeQ5_0,
  Q5_1: decodeQ5_1,
  Q8_0: decodeQ8_0,
  Q2_K: decodeQ2_K,
  Q3_K: decodeQ3_K,
  Q4_K: decodeQ4_K,
  Q5_K: decodeQ5_K,
  Q6_K: decodeQ6_K,
  IQ4_NL: decodeIQ4_NL,
  IQ4_XS: decodeIQ4_XS,
  MXFP4: decodeMXFP4,
  BF16: decodeBF16,
};

/** The type of GGUF files that a native format is. */
export const typeOfFormat: Readonly<Record<BlockFormat, BlockType>> = {
  q8_0: 'Q8_0',
  q4_0: 'Q4_0',
  mxfp4: 'MXFP4',
  q4_k: 'Q4_K',
  q5_k: 'Q5_K',
  q6_k: 'Q6_K',
};

/**
 * The values of a block-quantised tensor, row-major, in a new array; bit for bit those of ggml.
 *
 * @param bytes the blocks, row by row, as they lie in a GGUF file
 * @param shape outermost first; rows (the last size) are whole blocks
 * @throws DTypeError, ShapeError, ArgumentError; FileFormatError `ERR_BLOCKS_LENGTH` where bytes are missing or left over
 */
export function decodeBlocks(type: BlockType, bytes: Uint8Array, shape: readonly number[]): Float32Array<ArrayBuffer> {
  const count = checkBlocks('decodeBlocks', type, bytes, shape);
  const block = blockTypes[type];
  const decode = decoders[type];
  const out = new Float32Array(count * block.values);
  for (let i = 0; i < count; i++) decode(bytes, i * block.bytes, out, i * block.values);
  return out;
}

/** `decodeBlocks` of a native format. */
export function decodeFormat(
  format: BlockFormat,
  bytes: Uint8Array,
  shape: readonly number[],
): Float32Array<ArrayBuffer> {
  return decodeBlocks(typeOfFormat[format], bytes, shape);
}
