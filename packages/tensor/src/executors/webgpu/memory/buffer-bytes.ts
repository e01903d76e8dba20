import { byteSize, type DType, isBlockFormat } from '../../../dtype.ts';
import { layoutBytes } from './block-layout.ts';

/** Bytes of a buffer for `count` values: whole fours, so that kernels may read and write the last four as one. */
export function bufferBytes(dtype: DType, count: number): number {
  const bytes = isBlockFormat(dtype) ? layoutBytes(dtype, count) : count * (dtype === 'bool' ? 4 : byteSize[dtype]);
  return Math.max(16, Math.ceil(bytes / 16) * 16);
}
