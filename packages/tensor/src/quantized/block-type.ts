import { checkArguments } from '../checks/check-arguments.ts';
import { ArgumentError, DTypeError, FileFormatError, ShapeError } from '../checks/errors.ts';
import { blockSizes } from '../dtype.ts';
import { formatShape, sizeOf } from '../shape.ts';

/** Names of the types in GGUF files. */
export type BlockType =
  | 'Q4_0'
  | 'Q4_1'
  | 'Q5_0'
  | 'Q5_1'
  | 'Q8_0'
  | 'Q2_K'
  | 'Q3_K'
  | 'Q4_K'
  | 'Q5_K'
  | 'Q6_K'
  | 'IQ4_NL'
  | 'IQ4_XS'
  | 'MXFP4'
  | 'BF16';

/**
 * Block types of GGUF files that are read here, by their names there, with the values and bytes of a block.
 * Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
export const blockTypes: Readonly<Record<BlockType, { readonly values: number; readonly bytes: number }>> = {
  Q4_0: blockSizes.q4_0,
  Q4_1: { values: 32, bytes: 20 },
  Q5_0: { values: 32, bytes: 22 },
  Q5_1: { values: 32, bytes: 24 },
  Q8_0: blockSizes.q8_0,
  Q2_K: { values: 256, bytes: 84 },
  Q3_K: { values: 256, bytes: 110 },
  Q4_K: blockSizes.q4_k,
  Q5_K: blockSizes.q5_k,
  Q6_K: blockSizes.q6_k,
  IQ4_NL: { values: 32, bytes: 18 },
  IQ4_XS: { values: 256, bytes: 136 },
  MXFP4: blockSizes.mxfp4,
  BF16: { values: 1, bytes: 2 },
};

/** Whether a value is the name of a block type of GGUF files. */
export function isBlockType(value: unknown): value is BlockType {
  return typeof value === 'string' && Object.hasOwn(blockTypes, value);
}

/**
 * How many blocks `bytes` are, where they are the tensor of `type` and `shape`.
 * @throws DTypeError for a type that is not read; ArgumentError for sizes that are no sizes; ShapeError where rows are no
 *   whole blocks; FileFormatError `ERR_BLOCKS_LENGTH` where bytes are missing or left over
 */
export function checkBlocks(operation: string, type: BlockType, bytes: Uint8Array, shape: readonly number[]): number {
  if (!isBlockType(type))
    throw new DTypeError(`${operation}: reads ${Object.keys(blockTypes).join(', ')}, got ${String(type)}`);
  if (!(bytes instanceof Uint8Array)) throw new ArgumentError(`${operation}: takes the bytes as a Uint8Array`);
  checkArguments(operation, 'list', { shape });
  for (const size of shape)
    if (!Number.isSafeInteger(size) || size < 0)
      throw new ArgumentError(`${operation}: sizes must be whole numbers from 0, got ${formatShape(shape)}`);
  const block = blockTypes[type];
  const inner = shape.at(-1) ?? 1;
  if (inner % block.values !== 0)
    throw new ShapeError(
      `${operation}: rows of ${type} must be whole blocks of ${block.values} values, got ${formatShape(shape)}`,
    );
  const count = sizeOf(shape) / block.values;
  if (bytes.byteLength !== count * block.bytes)
    throw new FileFormatError(
      `${operation}: ${type} ${formatShape(shape)} takes ${count * block.bytes} bytes, got ${bytes.byteLength}`,
      { code: 'ERR_BLOCKS_LENGTH' },
    );
  return count;
}
