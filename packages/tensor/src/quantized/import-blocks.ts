import { FileFormatError } from '../checks/errors.ts';
import type { BlockFormat } from '../dtype.ts';
import { type BlockType, blockTypes, checkBlocks } from './block-type.ts';
import { decodeBlocks } from './decode.ts';
import { quantize } from './quantize.ts';

/** Blocks that a device takes as they are: `device.tensor(data, { shape, dtype })`. */
export interface ImportedBlocks {
  readonly dtype: BlockFormat | 'bf16';
  readonly data: Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;
  /** What was done where the type is not native, for people; its largest error, absolute. */
  readonly requantized?: { readonly note: string; readonly largestError: number };
}

const native: Readonly<Partial<Record<BlockType, BlockFormat>>> = {
  Q8_0: 'q8_0',
  Q4_0: 'q4_0',
  MXFP4: 'mxfp4',
  Q4_K: 'q4_k',
  Q5_K: 'q5_k',
  Q6_K: 'q6_k',
};

/**
 * A tensor of a GGUF file as a native dtype: Q8_0, Q4_0, MXFP4, Q4_K, Q5_K, Q6_K and BF16 as they are (copied), other types requantised to
 * q8_0, which is reported.
 *
 * @param shape outermost first (GGUF lists sizes innermost first)
 * @throws DTypeError, ShapeError, ArgumentError; FileFormatError `ERR_BLOCKS_LENGTH` where bytes are missing or left over;
 *   or `ERR_BLOCKS_VALUES` where what has to be requantised is not finite
 */
export function importBlocks(type: BlockType, bytes: Uint8Array, shape: readonly number[]): ImportedBlocks {
  checkBlocks('importBlocks', type, bytes, shape);
  const copy = Uint8Array.from(bytes);
  if (type === 'BF16') return { dtype: 'bf16', data: new Uint16Array(copy.buffer) };
  const format = native[type];
  if (format) return { dtype: format, data: copy };
  const values = decodeBlocks(type, bytes, shape);
  if (!values.every(Number.isFinite))
    throw new FileFormatError(`importBlocks: ${type} blocks hold values that are not finite`, {
      code: 'ERR_BLOCKS_VALUES',
    });
  const data = quantize(values, 'q8_0');
  const again = decodeBlocks('Q8_0', data, shape);
  const largestError = values.reduce((most, value, i) => Math.max(most, Math.abs(value - again[i]!)), 0);
  const note = `${type} (${(8 * blockTypes[type].bytes) / blockTypes[type].values} bits a value) is not native and was requantised to q8_0`;
  return { dtype: 'q8_0', data, requantized: { note, largestError } };
}
