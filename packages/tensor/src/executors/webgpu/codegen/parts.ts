import { type Dim, largestOf } from '../../../dim.ts';
import { byteSize, isBlockFormat } from '../../../dtype.ts';
import type { WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import { sizeOf, type TensorType } from '../../../shape.ts';
import { bufferBytes } from '../memory/buffer-bytes.ts';

/**
 * How a buffer that is larger than a kernel may bind at once is bound: in parts of `bytes`, the last one shorter, that are
 * arrays of their own in the kernel's text.
 */
export interface Parts {
  readonly count: number;
  readonly bytes: number;
  /** Values of a part: a whole number of fours. */
  readonly values: number;
}

/** Bindings begin at multiples of this many bytes. */
const alignment = 256;

type Limits = Pick<WebGpuCapabilities, 'maxBindingBytes'>;

/** The parts of a buffer for values of `type`; undefined where it is bound whole. Blocks of weights are not divided. */
export function partsOf(type: TensorType, bound: (dim: Dim) => number, { maxBindingBytes }: Limits): Parts | undefined {
  if (isBlockFormat(type.dtype)) return undefined;
  const total = bufferBytes(type.dtype, bound(sizeOf(type.shape)));
  if (total <= maxBindingBytes) return undefined;
  const bytes = Math.floor(maxBindingBytes / alignment) * alignment;
  const each = type.dtype === 'bool' ? 4 : byteSize[type.dtype];
  return { count: Math.ceil(total / bytes), bytes, values: bytes / each };
}

/** Storage bindings that a buffer for the largest values of `type` takes. */
export function bindingsOf(type: TensorType, limits: Limits): number {
  return partsOf(type, largestOf, limits)?.count ?? 1;
}
